"""Model swaps during publishing: their coordination, and the expected decisions of each model."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

import asyncpg

from tradingsignals_server.application.ports.policy import Policy
from tradingsignals_server.domain.bars import Bar
from tradingsignals_server.domain.calendar import calendar_for
from tradingsignals_server.domain.signals import Probabilities

from .by_hand import observations_of, outputs_of

RESTORED_FROM = 400
"""Number of newest session bars from which the state of a new policy is computed."""


class Abreast:
    """Coordinates bars and swaps without further delays.

    The n-th swap begins when n - 1/2 shares of the bars have come, and more than n shares do not come before it is
    done: so every swap happens while bars pour in, and every model decides half a share of them at least.
    """

    def __init__(self, bars: int, swaps: int) -> None:
        self._share = bars / (swaps + 1)
        self._swaps = swaps
        self._come = self._done = 0
        self._changed = asyncio.Condition()

    async def publish(self, bars: Sequence[Bar], send: Callable[[Sequence[Bar]], Awaitable[None]], size: int) -> None:
        """Publish bars in calls of this size."""
        for start in range(0, len(bars), size):
            call = bars[start : start + size]
            async with self._changed:
                await self._changed.wait_for(
                    lambda: self._done == self._swaps or self._come < self._share * (self._done + 1)
                )
            await send(call)
            async with self._changed:
                self._come += len(call)
                self._changed.notify_all()

    async def swap(self, swaps: Sequence[Callable[[], Awaitable[None]]]) -> None:
        """Make the swaps in order, each when it is due."""
        assert len(swaps) == self._swaps
        for swap in swaps:
            async with self._changed:
                await self._changed.wait_for(lambda: self._come >= self._share * (self._done + 0.5))
            await swap()
            async with self._changed:
                self._done += 1
                self._changed.notify_all()


@dataclass(frozen=True, slots=True)
class Decided:
    """Columns of a signal that identify the model and its output."""

    symbol: str
    bar_time: datetime
    version: str
    probabilities: Probabilities

    @classmethod
    def of(cls, row: asyncpg.Record) -> Decided:
        """Convert a row of the table."""
        probabilities = Probabilities(row["hold_probability"], row["buy_probability"], row["sell_probability"])
        return cls(row["symbol"], row["bar_time"], row["model_version"], probabilities)


def check_decisions(
    lines: Mapping[str, Sequence[Bar]], decided: Sequence[Decided], policies: Mapping[str, Policy], order: Sequence[str]
) -> None:
    """Check that each bar was decided once, by the right model, and bit-identical to its own decision.

    `lines` are the bars of each symbol, `decided` the signals in the order of the log, `order` the versions in that of
    their turns. A model goes on from the state to which the newest RESTORED_FROM stored bars lead it, one by one.
    """
    assert [version for version, _ in groupby(decided, key=lambda one: one.version)] == list(order)
    for symbol, bars in lines.items():
        calendar = calendar_for(symbol)
        inside = [bar for bar in bars if calendar.session_of(bar.time) is not None]
        place = {bar.time: number for number, bar in enumerate(inside)}
        observed_bars = observations_of(inside)
        found = [one for one in decided if one.symbol == symbol]
        assert [one.bar_time for one in found] == [one.bar.time for one in observed_bars]
        turns = [(version, list(turn)) for version, turn in groupby(found, key=lambda one: one.version)]
        for version, turn in turns:
            first = place[turn[0].bar_time]
            met = observations_of(inside[max(0, first - RESTORED_FROM) : first])
            begin = len(inside) - len(observed_bars)
            outputs = outputs_of(policies[version], [*met, *observed_bars[first - begin : first - begin + len(turn)]])[
                len(met) :
            ]
            assert [one.probabilities for one in turn] == [output.probabilities for output in outputs], (
                symbol,
                version,
            )
