"""The equity curve: by bar as the account had it, and by session, from which returns are taken."""

from __future__ import annotations

from datetime import date, datetime
from itertools import pairwise

import numpy as np

from ..values import dataclass
from .trades import FloatArray

_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class EquityCurve:
    """Equity after each bar, in account currency.

    started: when the equity was `initial_equity`, at or before the first bar.
    times: closes of the bars, ascending.
    session_days: the session of each bar, never descending. A bar outside every session counts to the one before it.
    equity: realised and unrealised, at each time; finite. exposure: sum of the sizes of the open positions, as a
    fraction of the initial equity, >= 0.

    Raises:
        ValueError: on construction, if the lengths differ or a value is not one of these.
    """

    initial_equity: float
    started: datetime
    times: tuple[datetime, ...]
    session_days: tuple[date, ...]
    equity: tuple[float, ...]
    exposure: tuple[float, ...]

    def __post_init__(self) -> None:
        if not {len(self.session_days), len(self.equity), len(self.exposure)} == {len(self.times)}:
            raise ValueError("times, session_days, equity and exposure have one length")
        if not 0.0 < self.initial_equity < np.inf:
            raise ValueError("the initial equity is finite and above 0")
        if (
            not np.isfinite(self.equity).all()
            or not np.isfinite(self.exposure).all()
            or min(self.exposure, default=0) < 0
        ):
            raise ValueError("equity and exposure are finite, and exposure is not negative")
        starts = (self.started, *self.times[:1])
        if any(a > b for a, b in pairwise(starts)) or any(a >= b for a, b in pairwise(self.times)):
            raise ValueError("the times of an equity curve ascend, from `started`")
        if any(a > b for a, b in pairwise(self.session_days)):
            raise ValueError("the sessions of an equity curve never descend")

    def by_session(self) -> SessionEquity:
        """Return the equity at the end of each session that has a bar."""
        days = self.session_days
        last = [at for at in range(len(days)) if at + 1 == len(days) or days[at + 1] != days[at]]
        return SessionEquity(
            self.initial_equity,
            tuple(days[at] for at in last),
            tuple(self.equity[at] for at in last),
        )


@dataclass(frozen=True, slots=True)
class SessionEquity:
    """Equity in account currency at the end of each session, in the order of their days, after `initial_equity`."""

    initial_equity: float
    days: tuple[date, ...]
    equity: tuple[float, ...]

    def returns(self) -> FloatArray | None:
        """Return the change of equity in each session as a fraction of the equity before it, shape (sessions,).

        None if the equity was ever 0 or below: what follows has no return.
        """
        levels: FloatArray = np.array((self.initial_equity, *self.equity))
        if levels.min() <= 0.0:
            return None
        returns: FloatArray = levels[1:] / levels[:-1] - 1.0
        # An unchanged equity that was summed in another order differs by rounding.
        returns[np.abs(returns) < _ROUNDING] = 0.0
        return returns
