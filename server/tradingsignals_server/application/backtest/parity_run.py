"""Runs the backtest of a comparison: the bars of the period, from what was there before it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime

from ...domain.bars import Bar
from ...domain.calendar import SessionCalendar
from ...domain.risk import RiskRules
from ...domain.values import dataclass
from ..decision.pipeline import Pipeline
from ..decision.trader import Trader
from ..ports.policy import Policy
from .columns import BarColumns
from .engine import BacktestEngine
from .live_order import live_order
from .live_record import LiveRecord
from .opening import Opening
from .parity import Differs, LiveComparison, is_of_period
from .result import BacktestProgress
from .run import NothingToTest, OnProgress


@dataclass(frozen=True, slots=True)
class ParityPlan:
    """What is compared. policy, rules, calendar_of: of the backtest. start: begin of the period, None for all bars."""

    policy: Policy
    rules: RiskRules
    calendar_of: Callable[[str], SessionCalendar]
    live: LiveRecord
    opening: Opening
    start: datetime | None


async def run_parity(plan: ParityPlan, comparison: LiveComparison, on_progress: OnProgress) -> None:
    """Process the bars of the period until one differs; `comparison` has the result.

    Raises:
        NothingToTest: there is no bar in the period.
    """
    live, columns = plan.live, plan.live.columns
    engine = BacktestEngine(Pipeline(Trader(plan.policy, plan.rules), plan.calendar_of), plan.opening.account)
    if plan.start is not None:
        _warm_up(engine, plan, columns)
        columns = columns.where(lambda bar: is_of_period(bar, live, plan.start, plan.opening))
    if comparison.skips_late:
        columns = columns.where(lambda bar: not live.is_late((bar.symbol, bar.time)))
    if not len(columns):
        raise NothingToTest("the service has stored no bars of this period")
    columns = columns.ordered(live_order(columns, live))
    controls, done = deque(live.controls_from(plan.opening.sequence)), 0

    def control() -> None:
        _, newest = controls.popleft()
        engine.control(newest)
        comparison.take_control(newest)

    with suppress(Differs):
        for chunk in columns.chunks():
            for bars in _between_controls(chunk, live, controls, control):
                await engine.process(bars, comparison.take)
            done += len(chunk)
            on_progress(_progress(comparison, chunk[-1], done, len(columns)))
        while controls:
            control()
        comparison.finish()


def _between_controls(
    bars: Sequence[Bar], live: LiveRecord, controls: Sequence[tuple[int, object]], control: Callable[[], None]
) -> Iterator[Sequence[Bar]]:
    """Yield the bars between two controls; call `control` at each, which takes the first of `controls` away."""
    pending: list[Bar] = []
    for bar in bars:
        place = live.place_of((bar.symbol, bar.time))
        while controls and place is not None and controls[0][0] < place:
            if pending:
                yield pending
                pending = []
            control()
        pending.append(bar)
    if pending:
        yield pending


def _warm_up(engine: BacktestEngine, plan: ParityPlan, columns: BarColumns) -> None:
    """Restore the state of each symbol from the bars before the period that were not late."""
    live, opening, before = plan.live, plan.opening, dict[str, list[Bar]]()
    for chunk in columns.chunks():
        for bar in chunk:
            late = live.is_late((bar.symbol, bar.time))
            if not late and not is_of_period(bar, live, plan.start, opening):
                before.setdefault(bar.symbol, []).append(bar)
    for symbol, bars in before.items():
        calendar = plan.calendar_of(symbol)
        decided = (bar.time for bar in reversed(bars) if calendar.session_of(bar.time) is not None)
        engine.warm_up(symbol, bars, opening.book_of(symbol, live, plan.policy, next(decided, None)))


def _progress(comparison: LiveComparison, bar: Bar, done: int, total: int) -> BacktestProgress:
    compared, account = comparison.compared, comparison.account
    return BacktestProgress(done, total, bar.time, compared.signals, compared.positions, account.equity)
