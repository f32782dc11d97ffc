"""The proof that decisions depend on no later bar.

At random bars the history is cut. The engine then runs three times from the same earlier bar: over the bars and those
behind the cut, up to the cut, and up to the cut with altered bars behind it, which are prefetched together with those
before. What was decided up to the cut must be equal each time, field by field.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

from ...domain.bars import Bar
from ...domain.events import Event
from ...domain.values import dataclass
from ..decision.pipeline import Pipeline
from ..decision.trader import Trader
from .columns import BarColumns
from .differences import Difference, first_difference
from .engine import CHUNK_BARS, BacktestEngine, ProcessedBar
from .run import BacktestPlan, NothingToTest

HISTORY_BARS = 1500
"""Bars before a cut over which the engine runs: enough to warm up, and several hundred decisions."""

DEFAULT_CUTS = 20


@dataclass(frozen=True, slots=True)
class Lookahead:
    """A decision that changed with later bars.

    how: what was done to the bars behind the cut: "cut off" or "altered". cut: the newest bar before it.
    """

    bar: Bar
    cut: Bar
    how: str
    difference: Difference


@dataclass(frozen=True, slots=True)
class Proof:
    """Number of cuts, and of bars whose decisions were compared; `lookahead` is None if all were equal."""

    cuts: int
    bars: int
    lookahead: Lookahead | None


async def prove(
    plan: BacktestPlan,
    columns: BarColumns,
    cuts: int = DEFAULT_CUTS,
    on_progress: Callable[[int], None] | None = None,
) -> Proof:
    """Look for a decision that depends on a later bar.

    Args:
        plan: the policy and the rules; its seed chooses the cuts and alters the bars.
        columns: the bars.
        cuts: number of cuts.
        on_progress: called after each cut with the number done.

    Raises:
        NothingToTest: there are fewer than two bars.
    """
    if len(columns) < 2:
        raise NothingToTest("a proof needs two bars or more")
    chance, compared = random.Random(plan.seed), 0  # noqa: S311 - no secret
    for done in range(1, cuts + 1):
        cut = chance.randrange(min(len(columns) // 2, HISTORY_BARS), len(columns))
        known = columns.bars(max(0, cut + 1 - HISTORY_BARS), cut + 1)
        later = columns.bars(cut + 1, cut + 1 + CHUNK_BARS // 2)
        expected = await _decided(plan, [*known, *later], len(known))
        compared += len(expected)
        for how, bars in (("cut off", known), ("altered", [*known, *(_altered(bar, chance) for bar in later)])):
            found = await _decided(plan, bars, len(known))
            if (lookahead := _first_lookahead(known, expected, found, how)) is not None:
                return Proof(done, compared, lookahead)
        if on_progress is not None:
            on_progress(done)
    return Proof(cuts, compared, None)


async def _decided(plan: BacktestPlan, bars: Sequence[Bar], count: int) -> list[tuple[Event, ...]]:
    """Return what the first `count` bars led to, for a new engine that gets all of `bars`."""
    found: list[tuple[Event, ...]] = []

    def keep(processed: ProcessedBar) -> None:
        if len(found) < count:
            found.append(() if processed.step is None else processed.step.events)

    engine = BacktestEngine(Pipeline(Trader(plan.policy, plan.rules), plan.calendar_of))
    # The bars before and behind the cut are prefetched together, as far as they fit.
    first = len(bars) % CHUNK_BARS
    await engine.process(bars[:first], keep)
    await engine.process(bars[first:], keep)
    return found


def _first_lookahead(
    bars: Sequence[Bar], expected: Sequence[tuple[Event, ...]], found: Sequence[tuple[Event, ...]], how: str
) -> Lookahead | None:
    for bar, one, other in zip(bars, expected, found, strict=True):
        if one != other:
            difference = first_difference(one, other, "events") or Difference("events", str(one), str(other))
            return Lookahead(bar, bars[-1], how, difference)
    return None


def _altered(bar: Bar, chance: random.Random) -> Bar:
    """Return a bar with other prices and another volume."""
    factor = chance.uniform(0.95, 1.05)
    prices = {name: getattr(bar, name) * factor for name in ("open", "high", "low", "close")}
    prices["high"] *= chance.uniform(1.0, 1.01)
    prices["low"] *= chance.uniform(0.99, 1.0)
    return replace(bar, **prices, volume=chance.uniform(0.0, 1000.0))
