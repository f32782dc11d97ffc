"""The port of backtests: each runs apart from the service, and sends its responses as it makes them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Protocol

from ...domain.bars import Bar
from ...domain.values import dataclass


@dataclass(frozen=True, slots=True)
class BacktestOrder:
    """What to run: see tradingsignals.v1.RunBacktestRequest.

    symbols: only stored bars of these, sorted; all if there are none. bars: instead of stored ones; None for those.
    settings: NAME=VALUE. seed: None for the default.
    """

    symbols: tuple[str, ...]
    start: datetime | None
    end: datetime | None
    bars: Sequence[Bar] | None
    model_version: str
    settings: tuple[str, ...]
    compare: bool
    seed: int | None


class RunningBacktest(Protocol):
    """A backtest that runs."""

    async def next(self) -> bytes | None:
        """Return the next response, a serialised RunBacktestResponse; None after the last.

        A cancellation ends the backtest.

        Raises:
            ServiceError: it ended without a result.
        """
        ...

    def end(self) -> None:
        """End it now, if it still runs."""
        ...


StartBacktest = Callable[[BacktestOrder], Awaitable[RunningBacktest]]
"""Starts a backtest.

Raises:
    TooManyBacktests: as many run as may.
    InvalidRequest: a setting or the model version is impossible.
"""
