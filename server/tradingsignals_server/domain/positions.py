"""Positions: opened by a signal, marked by each later bar, closed by one rule, with profit and loss net of costs.

Rules that follow from the order of prices within a bar:

- The open is the first price and the close is the last. The order of high and low is not known, so a single bar never
  proves that one of them came before the other.
- A bar that closed at or before the entry never changes the position. A bar signal that was decided at or before the
  entry does not act on it either.
- A bar that contains the entry is used only against the position: its open fills nothing, its extremes can reach the
  stop, and of its prices only the close can be in the position's favor.
- In every other bar the open comes first: if the open is at or beyond the stop, the fill is at the open; if it is at or
  beyond the target, the fill is at the target.
- A bar that touches both stop and target is counted as stopped.
- A bar is checked against the stop from before the bar. If an extreme of the bar trails the stop to the close or past
  it, the price passed the stop after that extreme, because the close is the last price: the trailed stop is the fill.
- An exit is never earlier than its entry.

A target is a limit order: it is filled at its price, without slippage. The entry and every other exit are market
orders, which cost slippage beside half the spread and the commission.
"""

from __future__ import annotations

from dataclasses import field
from datetime import date, datetime
from enum import StrEnum
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from .bars import Bar
from .currency import in_account_currency
from .risk import RiskRules
from .signals import Action, Signal
from .values import changed, dataclass

_NAMESPACE = uuid5(NAMESPACE_URL, "tradingsignals.v1.Position")


class ExitReason(StrEnum):
    """Rule that closed a position. Names are those of tradingsignals.v1.Position.ExitReason."""

    STOP_LOSS = "STOP_LOSS"
    TAKE_PROFIT = "TAKE_PROFIT"
    TRAILING_STOP = "TRAILING_STOP"
    TIME_LIMIT = "TIME_LIMIT"
    SESSION_END = "SESSION_END"
    REVERSED = "REVERSED"
    MANUAL = "MANUAL"


@dataclass(frozen=True, slots=True)
class Exit:
    """The fill that closed a position. `signal_id` is set if a signal reversed the position."""

    time: datetime
    price: float
    reason: ExitReason
    signal_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Position:
    """A position after its newest change.

    Prices, `costs`, `pnl` and excursions are in quote currency for one unit, `pnl_pct` in percent of the entry price,
    `pnl_account` in account currency, `position_size` a fraction of equity. Excursions are >= 0 and exclude costs.
    `session_day` is the session of the position, None until the first session bar if no bar opened it. `trail_distance`
    is the distance of a trailing stop from the best price, None for a fixed stop. `sequence` is the sequence of the
    newest change in the event log, 0 until it is committed.
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
        """Whether the position has no exit yet."""
        return self.exit is None


def open_position(signal: Signal, rules: RiskRules, session_day: date | None) -> Position:
    """Return the position that a BUY or SELL opens at its entry price. The same signal always gives the same id.

    Raises:
        ValueError: the signal is a HOLD.
    """
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
    return changed(unmarked, **_value(unmarked, signal.entry_price, rules))


def after_bar(
    position: Position,
    bar: Bar,
    rules: RiskRules,
    *,
    session_day: date | None,
    last_of_session: bool,
    valued: bool = True,
) -> Position:
    """Return the position after one later bar: closed if a rule closes it within the bar, else marked to the close.

    A bar that closed at or before the entry changes nothing. Otherwise the first matching rule closes the position:

    1. The market opened at or beyond the stop: filled at the open, which is the worse of the two.
    2. It opened at or beyond the target: filled at the target; a limit order is never assumed to get a better price.
    3. The session of the position is over without a closing bar: filled at the open.
    4. The bar touched the stop, even if it touched the target too: filled at the stop.
    5. The bar touched the target: filled at the target.
    6. The bar trailed the stop to its close or past it: filled at the trailed stop.
    7. The time limit is reached: filled at the close.
    8. The bar is the last of the session: filled at the close.

    The docstring of the module states what is known of the order of prices within a bar.

    Args:
        position: the open position.
        bar: the next bar of its symbol.
        rules: settings that decide which rules apply, and the costs.
        session_day: the session of the bar, None outside every session.
        last_of_session: whether the bar is the last of its session.
        valued: False leaves price, costs, profit and loss of a position that stays open as they are, which takes half
            the time. They are never read again; an exit computes its own.
    """
    if bar.close_time <= position.entry_time:
        return position
    bars_held = position.bars_held + 1
    contains_entry = bar.time < position.entry_time
    best, worst = _extremes_since_entry(position, bar, contains_entry=contains_entry)
    fill = None if contains_entry else _fill_at_open(position, bar, rules, session_day)
    fill = fill or _fill_at_level(position, bar, best, worst)
    if fill is not None:
        return close(changed(position, bars_held=bars_held), fill, rules)
    trailed = position
    if position.trail_distance is not None:
        trailed = _trailed(position, position.trail_distance, best)
        fill = _fill_at_trailed_stop(trailed, bar, contains_entry=contains_entry)
        if fill is not None:
            return close(changed(trailed, bars_held=bars_held), fill, rules)
    fill = _fill_at_close(bars_held, bar, rules, last_of_session=last_of_session)
    if fill is not None:
        return close(changed(position, bars_held=bars_held), fill, rules)
    value = _value(trailed, bar.close, rules) if valued else {}
    day = position.session_day or session_day
    excursions = _excursions(trailed, best, worst)
    return changed(trailed, **value, **excursions, bars_held=bars_held, session_day=day)


def close(position: Position, fill: Exit, rules: RiskRules) -> Position:
    """Return the position closed by `fill`.

    Of the exit bar only the fill itself counts towards the excursions, because the order of prices within the bar is
    not known. The exception is a stop that the same bar has trailed: the best price of the bar came before the fill.

    Raises:
        ValueError: the fill is earlier than the entry.
    """
    if fill.time < position.entry_time:
        raise ValueError(f"a position of {position.entry_time.isoformat()} cannot end at {fill.time.isoformat()}")
    side = position.action.direction
    move = side * (fill.price - position.entry_price)
    return changed(
        position,
        **_value(position, fill.price, rules, at_limit=fill.reason is ExitReason.TAKE_PROFIT),
        max_favorable_excursion=max(position.max_favorable_excursion, move),
        max_adverse_excursion=max(position.max_adverse_excursion, -move),
        exit=fill,
    )


def revalued(position: Position, initial_equity: float, currency: str) -> Position:
    """Return the position with its `pnl_account` in an account that began with `initial_equity` in `currency`."""
    amount = position.position_size * initial_equity
    value = in_account_currency(
        position.symbol, position.pnl, position.entry_price, position.current_price, amount, currency
    )
    return position if value == position.pnl_account else changed(position, pnl_account=value)


def _stop_reason(position: Position) -> ExitReason:
    return ExitReason.STOP_LOSS if position.stop_loss == position.initial_stop_loss else ExitReason.TRAILING_STOP


def _fill_at_open(position: Position, bar: Bar, rules: RiskRules, session_day: date | None) -> Exit | None:
    """Return the exit at the open of a bar that begins at or after the entry, if the open triggers a rule."""
    side = position.action.direction
    if side * (bar.open - position.stop_loss) <= 0.0:
        return Exit(bar.time, bar.open, _stop_reason(position))
    if side * (bar.open - position.take_profit) >= 0.0:
        return Exit(bar.time, position.take_profit, ExitReason.TAKE_PROFIT)
    if rules.close_at_session_end and position.session_day is not None and session_day != position.session_day:
        return Exit(bar.time, bar.open, ExitReason.SESSION_END)
    return None


def _fill_at_level(position: Position, bar: Bar, best: float, worst: float) -> Exit | None:
    """Return the exit at the stop or target from before the bar, the stop first, if an extreme reaches one."""
    side = position.action.direction
    if side * (worst - position.stop_loss) <= 0.0:
        return Exit(bar.close_time, position.stop_loss, _stop_reason(position))
    if side * (best - position.take_profit) >= 0.0:
        return Exit(bar.close_time, position.take_profit, ExitReason.TAKE_PROFIT)
    return None


def _fill_at_trailed_stop(trailed: Position, bar: Bar, *, contains_entry: bool) -> Exit | None:
    """Return the exit at the stop that `bar` has trailed, if the close is at or beyond the stop."""
    side, stop = trailed.action.direction, trailed.stop_loss
    if side * (bar.close - stop) > 0.0:
        return None
    # A bar that lies entirely beyond the trailed stop never traded at it.
    passed = contains_entry or bar.low <= stop <= bar.high
    return Exit(bar.close_time, stop if passed else bar.open, ExitReason.TRAILING_STOP)


def _fill_at_close(bars_held: int, bar: Bar, rules: RiskRules, *, last_of_session: bool) -> Exit | None:
    """Return the exit at the close, if the time limit or the end of the session closes the position."""
    if rules.max_holding_bars and bars_held >= rules.max_holding_bars:
        return Exit(bar.close_time, bar.close, ExitReason.TIME_LIMIT)
    if rules.close_at_session_end and last_of_session:
        return Exit(bar.close_time, bar.close, ExitReason.SESSION_END)
    return None


def _extremes_since_entry(position: Position, bar: Bar, *, contains_entry: bool) -> tuple[float, float]:
    """Return the best price since the entry that `bar` proves, and the worst that it allows."""
    best, worst = (bar.high, bar.low) if position.action.direction > 0 else (bar.low, bar.high)
    return (bar.close if contains_entry else best), worst


def _trailed(position: Position, distance: float, best: float) -> Position:
    """Return the position with its best price updated and its stop trailed. A stop never moves away from the price."""
    side, stop = position.action.direction, position.stop_loss
    in_favor = max(position.max_favorable_excursion, side * (best - position.entry_price))
    follows = position.entry_price + side * (in_favor - distance)
    stop = follows if side * (follows - stop) > 0.0 else stop
    return changed(position, stop_loss=stop, max_favorable_excursion=in_favor)


def _excursions(position: Position, best: float, worst: float) -> dict[str, float]:
    """Return the excursions after a bar with these extremes."""
    side, entry = position.action.direction, position.entry_price
    return {
        "max_favorable_excursion": max(position.max_favorable_excursion, side * (best - entry)),
        "max_adverse_excursion": max(position.max_adverse_excursion, side * (entry - worst)),
    }


def _value(position: Position, price: float, rules: RiskRules, *, at_limit: bool = False) -> dict[str, Any]:
    """Return the fields that depend on the price. Profit and loss are net of the costs of both sides.

    Only an exit at a target is `at_limit`; the value of an open position is that of an exit at the market.
    """
    entry = position.entry_price
    costs = rules.costs(position.symbol, entry, price, at_limit=at_limit)
    # Adding 0 turns the -0.0 of a short closed at its entry into 0.0.
    pnl = position.action.direction * (price - entry) - costs + 0.0
    pnl_pct = 100.0 * pnl / entry
    return {
        "current_price": price,
        "costs": costs,
        "pnl": pnl,
        "pnl_pct": pnl_pct,
        "pnl_account": in_account_currency(
            position.symbol, pnl, entry, price, position.position_size * rules.initial_equity, rules.account_currency
        ),
        "r_multiple": pnl / abs(entry - position.initial_stop_loss),
    }
