"""What a service made of a period, as the data of a report."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from math import fsum
from uuid import UUID

from ..domain.bars import Bar
from ..domain.calendar import SessionCalendar
from ..domain.outcomes import RESOLUTION_OF, gross_pct
from ..domain.performance.equity import EquityCurve
from ..domain.performance.summary import PerformanceSettings, performance_of
from ..domain.performance.trades import Trade
from ..domain.positions import Exit, ExitReason, Position, close, revalued
from ..domain.risk import RiskRules
from ..domain.signals import Action, Origin, Probabilities
from ..domain.values import dataclass
from .backtest.columns import BarColumns
from .backtest.comparisons import Comparisons
from .backtest.engine import ProcessedBar
from .backtest.record import EquityRecord, RejectionRecord
from .backtest.report_data import is_simulated, open_trades, price_bars, rejected_signals, setting_facts
from .backtest.result import Comparison, Rejection
from .backtest.run import bar_bytes
from .report import ReportComparison, ReportData, ReportFact, ReportTrade


@dataclass(frozen=True, slots=True)
class LiveSignal:
    """What a report needs of a stored signal: see Signal. `made_up`: by placeholder decisions."""

    signal_id: UUID
    timestamp: datetime
    action: Action
    confidence: float
    win_probability: float | None
    probabilities: Probabilities
    model_version: str
    origin: Origin
    made_up: bool
    reasoning: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LivePeriod:
    """What a service has stored of a period.

    bars: of the period. signals: of it, in the order of their times. positions: entered in it, those closed later too.
    source: where the database is, for people.
    """

    bars: BarColumns
    signals: tuple[LiveSignal, ...]
    positions: tuple[Position, ...]
    source: str


def live_report(
    period: LivePeriod,
    rules: RiskRules,
    calendar_of: Callable[[str], SessionCalendar],
    settings: Mapping[str, str],
    comparisons: Sequence[Comparison] = (),
) -> ReportData:
    """Return the data of a report on a period that has a bar.

    Positions that were entered in the period count, from the initial equity on, as in a backtest of it. One that was
    closed after the last bar counts as open at it.

    Args:
        period: what is stored.
        rules: the costs by which open positions are marked.
        calendar_of: sessions of a symbol.
        settings: those in force now, as text.
        comparisons: other ways to trade the same bars.
    """
    first, end = _bounds(period.bars)
    signals = {signal.signal_id: signal for signal in period.signals}
    positions = [revalued(one, rules.initial_equity, rules.account_currency) for one in period.positions]
    closed = sorted((one for one in positions if one.exit is not None and one.exit.time <= end), key=_end)
    left_open = [one for one in positions if one.exit is None or one.exit.time > end]
    trades = [_trade(position, signals.get(position.signal_id), calendar_of(position.symbol)) for position in closed]
    curve, marked = _equity(period.bars, closed, left_open, rules, calendar_of)
    statistics = PerformanceSettings()
    return ReportData(
        title="Live period",
        symbols=tuple(sorted({symbol for symbol, _ in period.bars.symbols})),
        period=(first, end),
        simulated=is_simulated(period.bars),
        placeholder=any(signal.made_up for signal in period.signals),
        currency=rules.account_currency,
        facts=(*_facts(period), *setting_facts(settings.items())),
        performance=performance_of([one.trade for one in trades], curve, statistics),
        equity=curve,
        prices=price_bars(period.bars),
        trades=tuple(trades),
        open_trades=open_trades(marked),
        signals={action.value: 0 for action in Action} | Counter(one.action.value for one in period.signals),
        rejections=rejected_signals(_rejections(period)),
        comparisons=tuple(ReportComparison(one.name, one.definition, one.figures, one.equity) for one in comparisons),
        rolling_sessions=statistics.rolling_sessions,
        notes=(
            "The account begins with INITIAL_EQUITY at the first bar of the period, and positions entered from then on "
            "count. Settings are those of now; open positions are marked with their costs.",
        ),
    )


class LiveComparisons:
    """The comparisons of a backtest, beside what a service did: the coin enters where the service opened positions.

    One that was opened between two closes counts for the bar of the second.
    """

    def __init__(
        self, period: LivePeriod, rules: RiskRules, calendar_of: Callable[[str], SessionCalendar], seed: int
    ) -> None:
        self._comparisons = Comparisons(rules, calendar_of, seed)
        self._entries: dict[str, list[datetime]] = {}
        for position in sorted(period.positions, key=lambda one: one.entry_time, reverse=True):
            self._entries.setdefault(position.symbol, []).append(position.entry_time)

    def take(self, processed: ProcessedBar) -> None:
        """Trade on a bar of the period."""
        entries, opened = self._entries.get(processed.bar.symbol, []), False
        while entries and entries[-1] <= processed.bar.close_time:
            entries.pop()
            opened = True
        self._comparisons.take(processed, opened=opened)

    def results(self) -> tuple[Comparison, ...]:
        """Return the comparisons; none without a bar in a session."""
        return self._comparisons.results(PerformanceSettings())


def _bounds(bars: BarColumns) -> tuple[datetime, datetime]:
    """Return the open of the first bar and the close of the last."""
    last = bars.bars(len(bars) - 1, len(bars))[0]
    return bars.bars(0, 1)[0].time, last.close_time


def _end(position: Position) -> datetime:
    return datetime.max.replace(tzinfo=UTC) if position.exit is None else position.exit.time


def _trade(position: Position, signal: LiveSignal | None, calendar: SessionCalendar) -> ReportTrade:
    if position.exit is None:
        raise ValueError("a position without an exit is no trade yet")
    risk = abs(position.entry_price - position.initial_stop_loss)
    trade = Trade(
        symbol=position.symbol,
        action=position.action,
        entry_time=position.entry_time,
        exit_time=position.exit.time,
        session_day=calendar.session_of(position.entry_time) or position.entry_time.date(),
        size=position.position_size,
        gross_pct=gross_pct(position),
        net_pct=position.pnl_pct,
        pnl=position.pnl_account,
        r_multiple=position.r_multiple,
        mfe_r=position.max_favorable_excursion / risk,
        mae_r=position.max_adverse_excursion / risk,
        confidence=0.0 if signal is None else min(1.0, signal.confidence),
        win_probability=None if signal is None else signal.win_probability,
        model_version="unknown" if signal is None else signal.model_version,
        origin=Origin.BAR if signal is None else signal.origin,
        resolution=RESOLUTION_OF[position.exit.reason],
    )
    prices = position.entry_price, position.exit.price, position.initial_stop_loss, position.take_profit
    return ReportTrade(trade, *prices, position.bars_held)


def _equity(
    bars: BarColumns,
    closed: Sequence[Position],
    left_open: Sequence[Position],
    rules: RiskRules,
    calendar_of: Callable[[str], SessionCalendar],
) -> tuple[EquityCurve | None, list[Position]]:
    """Return the equity by bar, and the positions left open as the last bars mark them."""
    record = EquityRecord(rules.initial_equity)
    entering = sorted((*closed, *left_open), key=lambda one: one.entry_time, reverse=True)
    held: list[Position] = []
    realised: list[float] = []
    newest: dict[str, Bar] = {}
    through: datetime | None = None
    for chunk in bars.chunks():
        for bar in chunk:
            through = bar.close_time if through is None else max(through, bar.close_time)
            newest[bar.symbol] = bar
            while entering and entering[-1].entry_time <= through:
                held.append(entering.pop())
            realised += [one.pnl_account for one in held if _end(one) <= through]
            held = [one for one in held if _end(one) > through]
            marks = [_marked(one, newest.get(one.symbol), through, rules) for one in held]
            equity = rules.initial_equity + fsum(realised) + fsum(one.pnl_account for one in marks)
            exposure = fsum(one.position_size for one in held)
            record.add(bar.time, through, calendar_of(bar.symbol).session_of(bar.time), equity, exposure)
    end = through or datetime.min.replace(tzinfo=UTC)
    return record.curve(), [_marked(one, newest.get(one.symbol), end, rules) for one in left_open]


def _marked(position: Position, bar: Bar | None, time: datetime, rules: RiskRules) -> Position:
    """Return an open position at the close of the newest bar of its symbol, at its entry before there is one."""
    after = bar is not None and bar.close_time > position.entry_time
    price = bar.close if bar is not None and after else position.entry_price
    fill = Exit(max(time, position.entry_time), price, ExitReason.MANUAL)
    return close(replace(position, exit=None), fill, rules)


def _rejections(period: LivePeriod) -> tuple[Rejection, ...]:
    opened = {position.signal_id for position in period.positions}
    record = RejectionRecord()
    for signal in period.signals:
        if not signal.reasoning or signal.signal_id in opened:
            continue
        if signal.action is not Action.HOLD:
            record.add(signal.reasoning[-1], signal.timestamp)
        elif signal.probabilities.choice()[0] is not Action.HOLD:
            at = 1 + (signal.win_probability is not None)
            record.add(signal.reasoning[min(at, len(signal.reasoning) - 1)], signal.timestamp)
    return record.results()


def _facts(period: LivePeriod) -> tuple[ReportFact, ...]:
    found = hashlib.sha256()
    for chunk in period.bars.chunks():
        for bar in chunk:
            found.update(bar_bytes(bar))
    models = Counter(signal.model_version for signal in period.signals)
    return (
        ReportFact("Run", "Source", period.source),
        ReportFact("Run", "Bars", f"{len(period.bars):,}"),
        ReportFact("Run", "SHA-256 of the bars", found.hexdigest()),
        *(ReportFact("Signals by model version", name, f"{count:,}") for name, count in sorted(models.items())),
    )
