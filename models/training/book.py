"""The positions of one symbol over a history, by the engine's own rules."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID

from tradingsignals_server.domain.positions import Exit, ExitReason, Position, after_bar, close, open_position
from tradingsignals_server.domain.risk import RiskRules, TradeTally, decide
from tradingsignals_server.domain.signals import Action, Decision, Origin, Probabilities, Signal

from .history import History

CERTAIN = {
    Action.HOLD: Probabilities(hold=1.0, buy=0.0, sell=0.0),
    Action.BUY: Probabilities(hold=0.0, buy=1.0, sell=0.0),
    Action.SELL: Probabilities(hold=0.0, buy=0.0, sell=1.0),
}
"""Probabilities of a policy that has chosen: they pass the confidence threshold, but not the rules about levels."""


@dataclass(slots=True)
class Book:
    """At most one open position, and the closed ones in the order of closing.

    It repeats the steps of application.decision.pipeline.Pipeline with the functions of the domain, over indicators
    that were computed before; a test compares the two position by position.
    """

    history: History
    rules: RiskRules
    position: Position | None = None
    closed: list[Position] = field(default_factory=list)
    closed_pct: float = 0.0
    tally: TradeTally = field(default_factory=TradeTally)

    @property
    def net_pct(self) -> float:
        """Net profit and loss so far, marked to market, in percent: the sum over all positions, each of its entry.

        An open position is charged the costs of both sides from its opening, as its own record is.
        """
        return self.closed_pct + (self.position.pnl_pct if self.position is not None else 0.0)

    def on_bar(self, index: int) -> None:
        """Apply bar `index` to the open position: mark it to the close, or end it."""
        if self.position is None:
            return
        history = self.history
        self._keep(
            after_bar(
                self.position,
                history.bars[index],
                self.rules,
                session_day=history.days[index],
                last_of_session=history.last_of_session[index],
            )
        )

    def decide(self, index: int, probabilities: Probabilities) -> Decision:
        """Act on a policy's probabilities at the close of bar `index`, which must be one that decides.

        The closing bar of a session opens nothing if positions end with the session.
        """
        history, held = self.history, self.position
        bar, indicators = history.bars[index], history.indicators[index]
        if indicators is None:
            raise ValueError(f"nothing is decided at the bar of {bar.time.isoformat()}")
        tally = self.tally.at(bar.close_time)
        decision = decide(bar.symbol, probabilities, bar.close, indicators, self.rules, tally)
        if decision.action is Action.HOLD or (held is not None and held.action is decision.action):
            return decision
        if held is not None:
            self._keep(close(held, Exit(bar.close_time, bar.close, ExitReason.REVERSED), self.rules))
        last = history.last_of_session[index] and self.rules.close_at_session_end
        if decision.position_size > 0.0 and not last:
            signal = Signal(
                signal_id=UUID(int=index),
                timestamp=bar.close_time,
                symbol=bar.symbol,
                entry_price=bar.close,
                decision=decision,
                probabilities=probabilities,
                indicators=indicators,
                origin=Origin.BAR,
                model_version="",
                model_type="",
                simulated=bar.simulated,
                bar_time=bar.time,
            )
            self._keep(open_position(signal, self.rules, history.days[index]))
        return decision

    def _keep(self, position: Position) -> None:
        if position.exit is None:
            self.position = position
            return
        self.position = None
        self.closed.append(position)
        self.closed_pct += position.pnl_pct
        self.tally = self.tally.with_trade(position.exit.time, position.pnl_pct)
