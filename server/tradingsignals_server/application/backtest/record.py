"""What is kept of a run: events are taken in as they are made, and only trades, outcomes and equity stay."""

from __future__ import annotations

import re
from array import array
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime

from ...domain.account import Account
from ...domain.bars import Bar
from ...domain.calendar import SessionCalendar
from ...domain.events import Disposition, SymbolEvent
from ...domain.ledger import EXPIRY_BARS, Ledger
from ...domain.outcomes import Fill, Outcome
from ...domain.performance.equity import EquityCurve
from ...domain.performance.trades import Trade
from ...domain.positions import Position
from ...domain.risk import RiskRules
from ...domain.signals import Action, Signal
from .engine import ProcessedBar
from .result import BarCounts, RefusedBar, Rejection, TradedSignal

KEPT_SIGNALS = 100_000
"""BUY and SELL signals, closed positions and outcomes that are kept with all their fields; all others are counted."""

KEPT_REFUSALS = 20
"""Refused bars that are kept with the reason."""

_NUMBER = re.compile(r"\d[\d.,]*%?")


class EquityRecord:
    """The equity by bar, as columns of numbers: one point for each close, after all bars that closed then."""

    def __init__(self, initial_equity: float) -> None:
        self._initial_equity = initial_equity
        self._started: datetime | None = None
        self._times, self._days = array("d"), array("l")
        self._equity, self._exposure = array("d"), array("d")

    def add(self, opened: datetime, closed: datetime, day: date | None, equity: float, exposure: float) -> None:
        """Add the equity after a bar of the session of `day`; one before the first session is left out."""
        if day is None and not self._days:
            return
        self._started = self._started or opened
        time = closed.timestamp()
        if not (self._times and time <= self._times[-1]):
            newest = self._days[-1] if self._days else 0
            self._times.append(time)
            self._days.append(max(newest, 0 if day is None else day.toordinal()))
            self._equity.append(equity)
            self._exposure.append(exposure)
        else:
            self._equity[-1], self._exposure[-1] = equity, exposure

    def curve(self) -> EquityCurve | None:
        """Return the curve; None without a bar in a session."""
        if self._started is None:
            return None
        return EquityCurve(
            self._initial_equity,
            self._started,
            tuple(datetime.fromtimestamp(time, UTC) for time in self._times),
            tuple(map(date.fromordinal, self._days)),
            tuple(self._equity),
            tuple(self._exposure),
        )


class TradeRecord:
    """Account, ledger and trades of the events of one policy.

    Args:
        rules: of the policy's trader.
        calendar_of: sessions of a symbol.
        model_key: key of the policy.
        expiry_bars: bars after which an outcome that is open expires.
        kept: signals, positions and outcomes that are kept.
    """

    def __init__(
        self,
        rules: RiskRules,
        calendar_of: Callable[[str], SessionCalendar],
        model_key: str,
        expiry_bars: int = EXPIRY_BARS,
        kept: int = KEPT_SIGNALS,
    ) -> None:
        self.account = Account.opened(rules.initial_equity)
        self.ledger = Ledger(rules, calendar_of, expiry_bars, model_key=model_key)
        self.equity = EquityRecord(rules.initial_equity)
        self.positions: list[Position] = []
        self.outcomes: list[Outcome] = []
        self.left_out = 0
        self._calendar_of = calendar_of
        self._kept = kept

    def take(self, events: Iterable[SymbolEvent]) -> None:
        """Take in the events of one bar, in their order."""
        for event in events:
            self.account = self.account.after(event)
            self._keep(self.outcomes, self.ledger.apply(event))
            if isinstance(event, Position) and event.exit is not None:
                self._keep(self.positions, (event,))

    def mark(self, bar: Bar) -> None:
        """Note the equity after a bar."""
        day = self._calendar_of(bar.symbol).session_of(bar.time)
        self.equity.add(bar.time, bar.close_time, day, self.account.equity, self.account.exposure)

    def trades(self) -> list[Trade]:
        """Return the trades: the outcomes of the positions, as they were filled."""
        return [
            trade_of(outcome, self._calendar_of(outcome.symbol))
            for outcome in self.outcomes
            if outcome.acted and outcome.fill is Fill.CLOSE
        ]

    def _keep(self, kept: list[Outcome] | list[Position], new: Iterable[Outcome] | Iterable[Position]) -> None:
        for one in new:
            if len(kept) < self._kept:
                kept.append(one)  # type: ignore[arg-type]  # both lists get their own kind
            else:
                self.left_out += 1


def trade_of(outcome: Outcome, calendar: SessionCalendar) -> Trade:
    """Return an outcome as the statistics count it."""
    day = calendar.session_of(outcome.entry_time) or outcome.entry_time.date()
    return Trade(
        symbol=outcome.symbol,
        action=outcome.action,
        entry_time=outcome.entry_time,
        exit_time=outcome.exit_time,
        session_day=day,
        size=outcome.size,
        gross_pct=outcome.gross_pct,
        net_pct=outcome.net_pct,
        pnl=outcome.pnl_account,
        r_multiple=outcome.r_multiple,
        mfe_r=outcome.mfe_r,
        mae_r=outcome.mae_r,
        confidence=min(1.0, outcome.confidence),
        win_probability=outcome.win_probability,
        model_version=outcome.model_version,
        origin=outcome.origin,
        resolution=outcome.resolution,
    )


class RejectionRecord:
    """Choices that were not traded, by the rule that stopped them."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[int, datetime, str]] = {}

    def add(self, sentence: str, time: datetime) -> None:
        """Count a choice that the rule with this sentence stopped."""
        rule = _NUMBER.sub("…", sentence)
        count, _, _ = self._found.get(rule, (0, None, ""))
        self._found[rule] = (count + 1, time, sentence)

    def results(self) -> tuple[Rejection, ...]:
        """Return the rules, the most frequent first."""
        found = [Rejection(rule, *rejected) for rule, rejected in self._found.items()]
        return tuple(sorted(found, key=lambda one: (-one.count, one.rule)))


class SignalRecord:
    """The signals of a run: how many of each action, every BUY and SELL, and what stopped those that did not trade."""

    def __init__(self, kept: int = KEPT_SIGNALS) -> None:
        self.actions: Counter[str] = Counter({action.value: 0 for action in Action})
        self.traded: list[TradedSignal] = []
        self._kept = kept
        self._rejected = RejectionRecord()

    def take(self, signal: Signal, *, opened: bool) -> None:
        """Take in the signal of a bar; `opened`: it opened a position."""
        decision = signal.decision
        self.actions[decision.action.value] += 1
        if decision.action is Action.HOLD:
            if signal.probabilities.choice()[0] is not Action.HOLD:
                self._rejected.add(decision.reasoning[1 + (decision.win is not None)], signal.timestamp)
            return
        if not opened:
            self._rejected.add(decision.reasoning[-1], signal.timestamp)
        if len(self.traded) < self._kept and decision.stop_loss is not None and decision.take_profit is not None:
            self.traded.append(
                TradedSignal(
                    signal.signal_id,
                    signal.timestamp,
                    signal.symbol,
                    decision.action,
                    decision.confidence,
                    None if decision.win is None else decision.win.probability,
                    signal.entry_price,
                    decision.stop_loss,
                    decision.take_profit,
                    decision.position_size,
                    opened,
                    decision.reasoning,
                )
            )

    def rejections(self) -> tuple[Rejection, ...]:
        """Return the rules that stopped a choice, the most frequent first."""
        return self._rejected.results()


class BarRecord:
    """Bars by what became of them."""

    def __init__(self) -> None:
        self._counts: Counter[Disposition | None] = Counter()
        self.refused: list[RefusedBar] = []

    def take(self, processed: ProcessedBar) -> None:
        """Count a bar."""
        self._counts[processed.disposition] += 1
        if processed.refusal is not None and len(self.refused) < KEPT_REFUSALS:
            bar = processed.bar
            self.refused.append(RefusedBar(bar.symbol, bar.time, processed.refusal.message))

    def counts(self) -> BarCounts:
        """Return the counts."""
        found = self._counts
        return BarCounts(
            accepted=found[Disposition.ACCEPTED],
            warming_up=found[Disposition.WARMING_UP],
            outside_session=found[Disposition.OUTSIDE_SESSION],
            other_interval=found[Disposition.OTHER_INTERVAL],
            duplicate=found[Disposition.DUPLICATE],
            refused=found[None],
        )
