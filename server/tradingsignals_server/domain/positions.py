"""Positions: opened by a signal, marked by each later bar, closed by one rule, with profit and loss net of costs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date, datetime
from enum import StrEnum
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from .bars import Bar
from .risk import RiskRules
from .signals import Action, Signal

_NAMESPACE = uuid5(NAMESPACE_URL, "tradingsignals.v1.Position")


class ExitReason(StrEnum):
    """Why a position ended. Names are those of tradingsignals.v1.Position.ExitReason."""

    STOP_LOSS = "STOP_LOSS"
    TAKE_PROFIT = "TAKE_PROFIT"
    TRAILING_STOP = "TRAILING_STOP"
    TIME_LIMIT = "TIME_LIMIT"
    SESSION_END = "SESSION_END"
    REVERSED = "REVERSED"
    MANUAL = "MANUAL"


@dataclass(frozen=True, slots=True)
class Exit:
    """The fill that ended a position. `signal_id` names the signal that reversed it, if one did."""

    time: datetime
    price: float
    reason: ExitReason
    signal_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Position:
    """One position after its newest change. Prices in quote currency; excursions are >= 0 and leave costs out.

    `session_day` is the session it belongs to, None until its first session bar if no bar opened it. `trail_distance`
    is how far the stop follows the best price, None for a fixed stop. `sequence` is the place of the newest change
    in the event log, 0 until it is committed.
    """

    position_id: UUID
    signal_id: UUID
    symbol: str
    action: Action
    entry_time: datetime
    entry_price: float
    stop_loss: float
    take_profit: float
    initial_stop_loss: float
    position_size: float
    simulated: bool
    current_price: float
    costs: float
    pnl: float
    pnl_pct: float
    pnl_account: float
    r_multiple: float
    max_favorable_excursion: float = 0.0
    max_adverse_excursion: float = 0.0
    bars_held: int = 0
    trail_distance: float | None = None
    session_day: date | None = None
    exit: Exit | None = None
    sequence: int = field(default=0, compare=False)

    @property
    def is_open(self) -> bool:
        """True until an exit."""
        return self.exit is None


def open_position(signal: Signal, rules: RiskRules, session_day: date | None) -> Position:
    """The position that a BUY or SELL opens at its entry price. The same signal always gives the same name."""
    decision = signal.decision
    if decision.stop_loss is None or decision.take_profit is None:
        raise ValueError(f"a {signal.action} opens no position")
    atr = signal.indicators.atr
    unmarked = Position(
        position_id=uuid5(_NAMESPACE, str(signal.signal_id)),
        signal_id=signal.signal_id,
        symbol=signal.symbol,
        action=signal.action,
        entry_time=signal.timestamp,
        entry_price=signal.entry_price,
        stop_loss=decision.stop_loss,
        take_profit=decision.take_profit,
        initial_stop_loss=decision.stop_loss,
        position_size=decision.position_size,
        simulated=signal.simulated,
        current_price=signal.entry_price,
        costs=0.0,
        pnl=0.0,
        pnl_pct=0.0,
        pnl_account=0.0,
        r_multiple=0.0,
        trail_distance=rules.trailing_stop_atr * atr if rules.trailing_stop_atr and atr else None,
        session_day=session_day,
    )
    return replace(unmarked, **_value(unmarked, signal.entry_price, rules))


def after_bar(
    position: Position, bar: Bar, rules: RiskRules, *, session_day: date | None, last_of_session: bool
) -> Position:
    """The position after one later bar: closed if a rule ends it within the bar, else marked to its close.

    Rules, the first that holds: the market opened at or beyond the stop (fills at the open, which is the worse of the
    two); it opened at or beyond the target (fills at the target: a limit order is never counted on to get a better
    price than its own); the session it belongs to is over without a closing bar (fills at the open); the stop was
    touched (the stop counts even if the target was touched too); the target was touched; the time limit; the last bar
    of the session.

    Of a bar that began before the entry the order of prices is not known. In doubt it counts against the position: its
    open fills nothing, its extremes can stop the position, and only its close can be in its favor.

    `session_day` is the session of the bar, None outside every session.
    """
    bars_held = position.bars_held + 1
    fill = _fill_within(position, bar, rules, bars_held, session_day=session_day, last_of_session=last_of_session)
    if fill is not None:
        return close(position, fill, rules, bars_held=bars_held)
    side = position.action.direction
    best, worst = _extremes_since_entry(position, bar)
    in_favor = max(position.max_favorable_excursion, side * (best - position.entry_price))
    return replace(
        position,
        **_value(position, bar.close, rules),
        bars_held=bars_held,
        stop_loss=_trailed_stop(position, in_favor),
        max_favorable_excursion=in_favor,
        max_adverse_excursion=max(position.max_adverse_excursion, side * (position.entry_price - worst)),
        session_day=position.session_day or session_day,
    )


def close(position: Position, fill: Exit, rules: RiskRules, *, bars_held: int | None = None) -> Position:
    """The position ended by `fill`.

    Of the exit bar only the fill itself counts towards the excursions, because the order of prices within it is not
    known.
    """
    side = position.action.direction
    move = side * (fill.price - position.entry_price)
    return replace(
        position,
        **_value(position, fill.price, rules),
        bars_held=position.bars_held if bars_held is None else bars_held,
        max_favorable_excursion=max(position.max_favorable_excursion, move),
        max_adverse_excursion=max(position.max_adverse_excursion, -move),
        exit=fill,
    )


def _fill_within(
    position: Position,
    bar: Bar,
    rules: RiskRules,
    bars_held: int,
    *,
    session_day: date | None,
    last_of_session: bool,
) -> Exit | None:
    side = position.action.direction
    stop, target = position.stop_loss, position.take_profit
    stop_reason = ExitReason.STOP_LOSS if stop == position.initial_stop_loss else ExitReason.TRAILING_STOP
    in_favor, against = _extremes_since_entry(position, bar)
    if not _entered_within(position, bar):
        if side * (bar.open - stop) <= 0.0:
            return Exit(bar.time, bar.open, stop_reason)
        if side * (bar.open - target) >= 0.0:
            return Exit(bar.time, target, ExitReason.TAKE_PROFIT)
        if rules.close_at_session_end and position.session_day is not None and session_day != position.session_day:
            return Exit(bar.time, bar.open, ExitReason.SESSION_END)
    if side * (against - stop) <= 0.0:
        return Exit(bar.close_time, stop, stop_reason)
    if side * (in_favor - target) >= 0.0:
        return Exit(bar.close_time, target, ExitReason.TAKE_PROFIT)
    if rules.max_holding_bars and bars_held >= rules.max_holding_bars:
        return Exit(bar.close_time, bar.close, ExitReason.TIME_LIMIT)
    if rules.close_at_session_end and last_of_session:
        return Exit(bar.close_time, bar.close, ExitReason.SESSION_END)
    return None


def _entered_within(position: Position, bar: Bar) -> bool:
    return bar.time < position.entry_time < bar.close_time


def _extremes_since_entry(position: Position, bar: Bar) -> tuple[float, float]:
    """The best and the worst price for the position that `bar` can be known, or must be feared, to have had."""
    best, worst = (bar.high, bar.low) if position.action.direction > 0 else (bar.low, bar.high)
    return (bar.close if _entered_within(position, bar) else best), worst


def _trailed_stop(position: Position, in_favor: float) -> float:
    """Where the stop stands once the best price is `in_favor` away from the entry; it never moves back."""
    if position.trail_distance is None:
        return position.stop_loss
    side = position.action.direction
    follows = position.entry_price + side * (in_favor - position.trail_distance)
    return follows if side * (follows - position.stop_loss) > 0.0 else position.stop_loss


def _value(position: Position, price: float, rules: RiskRules) -> dict[str, Any]:
    """What the position is worth at `price`: profit and loss net of the spread and of both sides' commission."""
    entry = position.entry_price
    costs = rules.spread + rules.commission_pct / 100.0 * (entry + price)
    # Adding 0 turns the -0.0 of a short closed at its entry into 0.0.
    pnl = position.action.direction * (price - entry) - costs + 0.0
    pnl_pct = 100.0 * pnl / entry
    return {
        "current_price": price,
        "costs": costs,
        "pnl": pnl,
        "pnl_pct": pnl_pct,
        "pnl_account": pnl_pct / 100.0 * position.position_size * rules.initial_equity,
        "r_multiple": pnl / abs(entry - position.initial_stop_loss),
    }
