"""The ledger: follows each BUY and SELL from its fill to its resolution, by the rules of positions.

Rules, beside those of `positions.after_bar`, which advances every entry:

- HOLD is not followed. Every other signal is, whether it was acted on or not, once for each fill.
- Fill CLOSE: entered at the signal's time and price. Of a signal that opened a position, the outcome is the exit of the
  position, whatever closed it.
- Fill NEXT_OPEN: entered at the open of the first bar of a session that opens at or after the signal. Stop and target
  keep their distances from the entry. What a signal or a call ends at fill CLOSE ends here at the next bar's open too.
- The first opposite signal that is later than the entry ends it, at that signal's time and price.
- A position that is closed by hand ends the entries of its own signal only.
- An entry that is open after `expiry_bars` bars expires at the close of the last one; a position does not.
- A late bar changes nothing, nor does a bar that closed at or before the entry.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field, replace
from datetime import date, datetime
from typing import Any, Self
from uuid import UUID

from .bars import LOWEST_PRICE, Bar
from .calendar import SessionCalendar
from .events import Disposition, Event, MarketUpdate, TradingControl
from .outcomes import RESOLUTION_OF, Fill, Outcome, Resolution, gross_pct, outcome_id
from .plain_values import parsed, plain
from .positions import Exit, ExitReason, Position, after_bar, close
from .risk import RiskRules
from .signals import Action, Origin, Signal
from .values import dataclass

LEDGER_VERSION = 1
"""Version of the rules above and of the state. Outcomes of another version are made anew by a rebuild."""

EXPIRY_BARS = 288
"""Default of OUTCOME_EXPIRY_BARS: a day of bars."""


@dataclass(frozen=True, slots=True)
class FollowedSignal:
    """What the ledger needs of a BUY or SELL. Fields are those of Signal.

    acted: it has opened a position.
    model_key: key of the policy that made it, "" if that is not known: the ledger's own is taken.
    """

    signal_id: UUID
    symbol: str
    action: Action
    origin: Origin
    timestamp: datetime
    bar_time: datetime | None
    entry_price: float
    stop_loss: float
    take_profit: float
    position_size: float
    confidence: float
    win_probability: float | None
    model_version: str
    atr: float | None
    simulated: bool
    acted: bool = False
    model_key: str = ""

    @classmethod
    def of(cls, signal: Signal) -> Self:
        """Return what is needed of a signal.

        Raises:
            ValueError: it is a HOLD.
        """
        decision = signal.decision
        if decision.stop_loss is None or decision.take_profit is None:
            raise ValueError(f"a {signal.action} has no outcome")
        return cls(
            signal_id=signal.signal_id,
            symbol=signal.symbol,
            action=signal.action,
            origin=signal.origin,
            timestamp=signal.timestamp,
            bar_time=signal.bar_time,
            entry_price=signal.entry_price,
            stop_loss=decision.stop_loss,
            take_profit=decision.take_profit,
            position_size=decision.position_size,
            confidence=decision.confidence,
            win_probability=None if decision.win is None else decision.win.probability,
            model_version=signal.model_version,
            atr=signal.indicators.atr,
            simulated=signal.simulated,
        )


@dataclass(frozen=True, slots=True)
class Leaving:
    """The exit of an entry with fill NEXT_OPEN, which waits for the next bar that opens at or after `time`."""

    time: datetime
    reason: ExitReason
    signal_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class OpenEntry:
    """A signal that is followed under one fill.

    position: what the fill has opened; its value is not marked. None before it, and for a signal that was acted on with
        fill CLOSE, whose position the log has.
    leaving: what ends it at the next open, None if nothing has.
    """

    signal: FollowedSignal
    fill: Fill
    position: Position | None = None
    leaving: Leaving | None = None

    @property
    def is_position(self) -> bool:
        """Whether a position of the log is followed rather than one of the ledger's own."""
        return self.signal.acted and self.fill is Fill.CLOSE


LedgerEvent = Event | FollowedSignal


@dataclass(frozen=True, slots=True)
class Ledger:
    """The fold over the events of one policy, in the order of the log. `apply` changes it.

    rules: settings that decide which rules apply, and the costs.
    calendar_of: the sessions of a symbol.
    expiry_bars: bars after which an entry expires, > 0.
    model_key, shadow: of the outcomes; a signal that has the key of its policy keeps it.
    """

    rules: RiskRules
    calendar_of: Callable[[str], SessionCalendar]
    expiry_bars: int = EXPIRY_BARS
    model_key: str = ""
    shadow: bool = False
    _open: dict[str, list[OpenEntry]] = field(default_factory=dict)

    def apply(self, event: LedgerEvent) -> list[Outcome]:
        """Take in the next event; return what it has resolved, the oldest entry first."""
        match event:
            case MarketUpdate():
                return [] if event.disposition is Disposition.LATE else self._on_bar(event.bar)
            case FollowedSignal():
                return self._on_signal(event)
            case Signal():
                return [] if event.action is Action.HOLD else self._on_signal(FollowedSignal.of(event))
            case Position():
                return self._on_position(event)
            case TradingControl() | Outcome():
                return []

    def open_entries(self, symbol: str) -> Sequence[OpenEntry]:
        """Return the entries of a symbol that are not resolved, the oldest first."""
        return tuple(self._open.get(symbol, ()))

    @property
    def symbols(self) -> Sequence[str]:
        """The symbols with open entries, sorted."""
        return sorted(self._open)

    def state_of(self, symbol: str) -> list[Any]:
        """Return the open entries of a symbol as plain values for JSON; empty if there are none."""
        return [plain(entry) for entry in self._open.get(symbol, ())]

    def restore(self, symbol: str, state: Sequence[Any]) -> None:
        """Replace the open entries of a symbol by those of which `state_of` made `state`.

        Raises:
            ValueError, TypeError: it did not.
        """
        self._keep(symbol, [parsed(OpenEntry, entry) for entry in state])

    def to_json(self) -> dict[str, Any]:
        """Return the state as plain values for JSON: the version, and the open entries by symbol."""
        return {"version": LEDGER_VERSION, "open": {symbol: self.state_of(symbol) for symbol in self.symbols}}

    def restore_all(self, state: Mapping[str, Any]) -> None:
        """Replace the state by that of which `to_json` made `state`.

        Raises:
            ValueError: it is of another version.
        """
        if state["version"] != LEDGER_VERSION:
            raise ValueError(f"a ledger of version {state['version']} cannot be continued by version {LEDGER_VERSION}")
        self._open.clear()
        for symbol, entries in state["open"].items():
            self.restore(symbol, entries)

    # ------------------------------------------------------------------------------------------------------ events

    def _on_bar(self, bar: Bar) -> list[Outcome]:
        if not (entries := self._open.get(bar.symbol)):
            return []
        calendar = self.calendar_of(bar.symbol)
        session = calendar.session_of(bar.time)
        within, day = session is not None, calendar.closing_session(session)
        last = within and calendar.is_last_bar(bar.time)
        steps = [self._after_bar(entry, bar, day, within=within, last=last) for entry in entries]
        return self._advance(bar.symbol, steps)

    def _on_signal(self, signal: FollowedSignal) -> list[Outcome]:
        before = self._open.get(signal.symbol, ())
        resolved = self._advance(signal.symbol, [self._after_signal(entry, signal) for entry in before])
        opened = None if signal.acted else self._position(signal)
        entries = [OpenEntry(signal, Fill.CLOSE, opened), OpenEntry(signal, Fill.NEXT_OPEN)]
        self._keep(signal.symbol, [*self._open.get(signal.symbol, ()), *entries])
        return resolved

    def _on_position(self, position: Position) -> list[Outcome]:
        if position.exit is None and position.bars_held:
            return []
        steps: list[OpenEntry | Outcome] = []
        for entry in self._open.get(position.symbol, ()):
            own = entry.signal.signal_id == position.signal_id
            steps.append(self._after_position(entry, position) if own else entry)
        return self._advance(position.symbol, steps)

    def _advance(self, symbol: str, steps: Sequence[OpenEntry | Outcome]) -> list[Outcome]:
        self._keep(symbol, [step for step in steps if isinstance(step, OpenEntry)])
        return [step for step in steps if isinstance(step, Outcome)]

    def _keep(self, symbol: str, entries: list[OpenEntry]) -> None:
        if entries:
            self._open[symbol] = entries
        else:
            self._open.pop(symbol, None)

    # ----------------------------------------------------------------------------------------------------- entries

    def _after_bar(
        self, entry: OpenEntry, bar: Bar, day: date | None, *, within: bool, last: bool
    ) -> OpenEntry | Outcome:
        """Advance an entry by a bar, which lies `within` a session that ends `day`, and may be its `last`."""
        if entry.is_position:
            return entry
        held = entry.position
        if held is None:
            if not within or bar.time < entry.signal.timestamp:
                return entry
            held = self._position(entry.signal, bar, day)
        if (leaving := entry.leaving) is not None and bar.time >= leaving.time:
            # The fill at the open is the first price of the bar: no level can come before it.
            counted = replace(held, bars_held=held.bars_held + 1) if bar.time > held.entry_time else held
            fill = Exit(bar.time, bar.open, leaving.reason, leaving.signal_id)
            return self._resolved(entry, close(counted, fill, self.rules))
        held = after_bar(held, bar, self.rules, session_day=day, last_of_session=last, valued=False)
        if held.exit is None and held.bars_held >= self.expiry_bars:
            ended = close(held, Exit(bar.close_time, bar.close, ExitReason.TIME_LIMIT), self.rules)
            return self._resolved(entry, ended, Resolution.EXPIRED)
        if held.exit is not None:
            return self._resolved(entry, held)
        return OpenEntry(entry.signal, entry.fill, held, entry.leaving)

    def _after_signal(self, entry: OpenEntry, later: FollowedSignal) -> OpenEntry | Outcome:
        followed = entry.signal
        is_later = later.timestamp > followed.timestamp or (
            later.timestamp == followed.timestamp and later.origin is not Origin.BAR
        )
        if later.action is followed.action or not is_later:
            return entry
        if entry.fill is Fill.NEXT_OPEN:
            return self._leaves(entry, Leaving(later.timestamp, ExitReason.REVERSED, later.signal_id))
        if entry.position is None:
            return entry  # its position reports its own exit
        fill = Exit(later.timestamp, later.entry_price, ExitReason.REVERSED, later.signal_id)
        return self._resolved(entry, close(entry.position, fill, self.rules))

    def _after_position(self, entry: OpenEntry, position: Position) -> OpenEntry | Outcome:
        signal = replace(entry.signal, acted=True)
        if entry.fill is Fill.NEXT_OPEN:
            entry = replace(entry, signal=signal)
            if position.exit is not None and position.exit.reason is ExitReason.MANUAL:
                return self._leaves(entry, Leaving(position.exit.time, ExitReason.MANUAL))
            return entry
        entry = replace(entry, signal=signal, position=None)
        return entry if position.exit is None else self._resolved(entry, position)

    @staticmethod
    def _leaves(entry: OpenEntry, leaving: Leaving) -> OpenEntry:
        return entry if entry.leaving is not None else replace(entry, leaving=leaving)

    def _position(self, signal: FollowedSignal, filled: Bar | None = None, day: date | None = None) -> Position:
        """Return the position of an entry: at the signal's own price, or at the open of the bar `filled` of `day`."""
        price, time = signal.entry_price, signal.timestamp
        if filled is not None:
            price, time = filled.open, filled.time
        else:
            at = signal.bar_time if signal.origin is Origin.BAR and signal.bar_time is not None else time
            day = self.calendar_of(signal.symbol).closing_session_of(at)
        moved, trailing = price - signal.entry_price, self.rules.trailing_stop_atr
        stop = max(signal.stop_loss + moved, LOWEST_PRICE)
        return Position(
            position_id=signal.signal_id,
            signal_id=signal.signal_id,
            symbol=signal.symbol,
            action=signal.action,
            entry_time=time,
            entry_price=price,
            stop_loss=stop,
            take_profit=max(signal.take_profit + moved, LOWEST_PRICE),
            initial_stop_loss=stop,
            position_size=signal.position_size,
            simulated=signal.simulated,
            current_price=price,
            costs=0.0,
            pnl=0.0,
            pnl_pct=0.0,
            pnl_account=0.0,
            r_multiple=0.0,
            trail_distance=trailing * signal.atr if trailing and signal.atr else None,
            session_day=day,
        )

    def _resolved(self, entry: OpenEntry, ended: Position, resolution: Resolution | None = None) -> Outcome:
        """Return the outcome of an entry whose position has ended, by default for the reason of its exit."""
        signal, fill = entry.signal, ended.exit
        if fill is None:
            raise ValueError("a position that is open has no outcome")
        risk = abs(ended.entry_price - ended.initial_stop_loss)
        return Outcome(
            outcome_id=outcome_id(signal.signal_id, entry.fill, shadow=self.shadow),
            signal_id=signal.signal_id,
            symbol=signal.symbol,
            action=signal.action,
            model_version=signal.model_version,
            model_key=signal.model_key or self.model_key,
            shadow=self.shadow,
            acted=signal.acted,
            simulated=signal.simulated,
            origin=signal.origin,
            confidence=signal.confidence,
            win_probability=signal.win_probability,
            size=signal.position_size,
            fill=entry.fill,
            entry_time=ended.entry_time,
            entry_price=ended.entry_price,
            stop_loss=ended.initial_stop_loss,
            take_profit=ended.take_profit,
            exit_time=fill.time,
            exit_price=fill.price,
            resolution=resolution or RESOLUTION_OF[fill.reason],
            r_multiple=ended.r_multiple,
            gross_pct=gross_pct(ended),
            net_pct=ended.pnl_pct,
            pnl_account=ended.pnl_account,
            mfe_r=ended.max_favorable_excursion / risk,
            mae_r=ended.max_adverse_excursion / risk,
            bars_held=ended.bars_held,
            rules_version=LEDGER_VERSION,
        )
