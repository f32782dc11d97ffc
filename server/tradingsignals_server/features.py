"""The types for features of one's own, in a Python module that the setting FEATURES names.

    # myfeatures.py
    import numpy as np
    from tradingsignals_server.features import BarArrays, SessionPlace

    class Features:
        names = ("return", "place")
        lookback_bars = 60
        warm_bars = 2

        def observe(self, bars: BarArrays, session: SessionPlace) -> list[float]:
            return [np.log(bars.close[-1] / bars.close[-2]), session.progress]

    features = Features()

With FEATURES=myfeatures:features the service imports the module at its start, from the working folder or from what is
installed, and runs `observe` in its process for every decision of a model that was trained on these features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

__all__ = ["BarArrays", "SessionPlace", "UserFeatures"]


@dataclass(frozen=True, slots=True)
class BarArrays:
    """The newest closed bars of one symbol, the oldest first: float64 arrays of shape (n,), a copy for each call.

    Prices are in quote currency. `time` is the open in seconds since 1970 (UTC). At a quote the last bar is the one in
    the making. n is `lookback_bars`, or less while the symbol has fewer bars, but at least `warm_bars`.
    """

    open: npt.NDArray[np.float64]
    high: npt.NDArray[np.float64]
    low: npt.NDArray[np.float64]
    close: npt.NDArray[np.float64]
    volume: npt.NDArray[np.float64]
    time: npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class SessionPlace:
    """Where the newest closed bar is in its session, by the calendar of the symbol.

    progress: fraction of the session before the bar, 0 at its first. bars_before, bars_after: bars of the session.
    """

    progress: float
    bars_before: int
    bars_after: int


@runtime_checkable
class UserFeatures(Protocol):
    """Features of one's own. An instance is named by a reference such as mymodule:features."""

    @property
    def names(self) -> Sequence[str]:
        """Names of the features, in the order of the observation."""
        ...

    @property
    def lookback_bars(self) -> int:
        """Number of bars that `observe` gets, up to 5000."""
        ...

    @property
    def warm_bars(self) -> int:
        """Number of bars that `observe` needs at least."""
        ...

    def observe(self, bars: BarArrays, session: SessionPlace) -> npt.ArrayLike:
        """Return one finite number for each name.

        It must be a function of its arguments alone: without a state of its own, a clock or chance, so that training,
        backtest, live and a restart agree. An exception means HOLD for this bar.
        """
        ...
