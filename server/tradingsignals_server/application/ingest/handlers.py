"""What each command does: it stages its events and states in a batch, and its result holds once that is committed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Generic, TypeVar
from uuid import UUID, uuid4

from ...domain.account import Account
from ...domain.account_errors import TradingIsHalted
from ...domain.bars import Bar, require_closed, require_interval
from ...domain.errors import BarConflict, InvalidBar, PositionAlreadyClosed, PriceJump, ServiceError
from ...domain.events import Disposition, MarketUpdate, Receipt, TradingControl
from ...domain.recurrent_state import RecurrentState
from ...domain.risk import RiskRules
from ...domain.values import dataclass
from ..decision.inputs import DecisionInput
from ..decision.pipeline import Pipeline
from ..decision.prefetch import MICRO_BATCH_BARS
from ..decision.quotes import input_of_bars, input_of_quote, input_of_window
from ..decision.symbol_state import SymbolState, refuse_late_bar_after_jump
from ..ports.clock import Clock
from ..ports.event_log import LogEntry
from ..ports.feed import BarResult
from ..ports.ownership import Ownership
from ..ports.store import ShadowEvent
from .batch import Batch
from .commands import (
    ClosePosition,
    Command,
    ControlTrading,
    GenerateFromStored,
    GenerateSignal,
    PublishBars,
    ReadLastBar,
    ReleaseSymbols,
    SwapModel,
)
from .states import SymbolStates

R = TypeVar("R")

Request = tuple[DecisionInput, RecurrentState]
"""The input of a requested decision, and the recurrent state that it starts from."""


Staged = tuple[str, datetime, Disposition, UUID | None] | ServiceError
"""A receipt without its sequence, or the error that refuses the bar."""


@dataclass(frozen=True, slots=True)
class _Receipts:
    """The results of bars."""

    results: Sequence[Staged]

    def confirmed(self, _: Sequence[LogEntry], through: int) -> list[BarResult]:
        return [one if isinstance(one, ServiceError) else Receipt(*one, through) for one in self.results]


@dataclass(frozen=True, slots=True)
class _Payload:
    """The event at `index` among the events of the batch, as it will be encoded."""

    index: int

    def confirmed(self, entries: Sequence[LogEntry], _: int) -> bytes:
        return entries[self.index].payload


@dataclass(frozen=True, slots=True)
class _Value(Generic[R]):
    """A result that is known already, but may rest on what is not durable yet."""

    value: R

    def confirmed(self, _entries: Sequence[LogEntry], _through: int) -> R:
        return self.value


class Handlers:
    """The handlers of all commands.

    is_replayed: True for a symbol whose bars a feed replays or simulates, so that its time is that of its bars.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        states: SymbolStates,
        clock: Clock,
        ownership: Ownership,
        is_replayed: Callable[[str], bool],
    ) -> None:
        self._pipeline = pipeline
        self._states = states
        self._clock = clock
        self._ownership = ownership
        self._is_replayed = is_replayed
        self._prefetched: dict[int, tuple[SymbolState, Request]] = {}

    async def prefetch(
        self, commands: Sequence[Command], bars: Sequence[Bar], states: Mapping[str, SymbolState]
    ) -> None:
        """Compute what the handlers of `commands`, which have these `bars`, will need. See decision.prefetch."""
        await self._pipeline.prefetch(states, bars)
        self._prefetched.clear()
        requests = [command for command in commands if isinstance(command, GenerateSignal | GenerateFromStored)]
        for start in range(0, len(requests) if len(requests) > 1 else 0, MICRO_BATCH_BARS):
            found: list[Request] = []
            for command in requests[start : start + MICRO_BATCH_BARS]:
                with suppress(ServiceError):  # the handler runs into it again
                    state = states[command.symbol]
                    found.append(self._request(command, state))
                    self._prefetched[id(command)] = state, found[-1]
            if found:
                self._pipeline.live.prefetch(*zip(*found, strict=True))
            await asyncio.sleep(0)

    def publish_bars(self, command: PublishBars, batch: Batch) -> _Receipts:
        """Process each bar; one that is refused does not affect the others."""
        now = self._clock()
        return _Receipts([self._process_bar(bar, batch, now) for bar in command.bars])

    def generate(self, command: GenerateSignal | GenerateFromStored, batch: Batch) -> _Payload:
        """Decide on a request."""
        state = batch.states[command.symbol]
        prefetched = self._prefetched.pop(id(command), None)
        request = prefetched[1] if prefetched is not None and _is_valid(prefetched, state) else None
        request = request or self._request(command, state)
        if (refusal := batch.refused.get(state.symbol)) is not None:
            raise refusal
        index = len(batch.events)
        batch.add(self._pipeline.on_request(state, *request, uuid4(), batch.account))
        return _Payload(index)

    def close_position(self, command: ClosePosition, batch: Batch) -> _Payload:
        """Close the position, unless it was closed since the command was queued."""
        state = batch.states[command.symbol]
        held = state.live.position
        if held is None or held.position_id != command.position_id:
            raise PositionAlreadyClosed(str(command.position_id))
        price = held.current_price
        if command.price is not None:
            state.refuse_jump({"price": command.price}, self._rules.max_price_jump)
            price = command.price
        index = len(batch.events)
        batch.add(self._pipeline.on_close(state, price, self._market_time(state), batch.account))
        return _Payload(index)

    def control_trading(self, command: ControlTrading, batch: Batch) -> _Value[Account]:
        """Halt or resume trading.

        Each call is an entry of the log, even one that seems to change nothing: another server may have appended the
        opposite a moment ago, which this one has not read yet, and the newest call counts.
        """
        if not command.halted and self._rules.protections.trading_halted:
            raise TradingIsHalted
        control = TradingControl(command.halted, command.reason, command.by, self._clock())
        batch.account = batch.account.after(control)
        batch.events.append(control)
        return _Value(batch.account)

    def read_last_bar(self, command: ReadLastBar, batch: Batch) -> _Value[Bar | None]:
        """Read the newest bar from the state of the symbol."""
        return _Value(batch.states[command.symbol].last_bar)

    def swap_model(self, command: SwapModel, _: Batch) -> _Value[None]:
        """Replace the traders; states, which are of the old policies, are read again when they are next needed."""
        self._pipeline.live, self._pipeline.shadow = command.live, command.shadow
        self._states.clear()
        return _Value(None)

    def release_symbols(self, command: ReleaseSymbols, _: Batch) -> _Value[None]:
        """Hold the symbols no longer, and forget their states."""
        self._ownership.release(command.buckets)
        known = [state.symbol for state in self._states.all()]
        self._states.forget(symbol for symbol in known if not self._ownership.holds(symbol))
        return _Value(None)

    @property
    def _rules(self) -> RiskRules:
        return self._pipeline.live.rules

    def _market_time(self, state: SymbolState) -> datetime:
        return state.market_time(self._clock(), replayed=self._is_replayed(state.symbol))

    def _request(self, command: GenerateSignal | GenerateFromStored, state: SymbolState) -> Request:
        """Compute the input of a request, and find the recurrent state to start from."""
        self._pipeline.live.require_for(state.symbol, state.calendar.interval)
        now = self._market_time(state)
        if isinstance(command, GenerateSignal):
            replayed = self._is_replayed(state.symbol)
            return input_of_quote(state, command.quote, now, self._rules, replayed=replayed), state.live.recurrent
        # It is decided as the newest bar was: with the recurrent state from before it.
        live, lookback_bars = self._pipeline.live, command.lookback_bars
        if command.stored is None:
            decision_input = input_of_window(state, lookback_bars, now, live.rules, warm_bars=live.warm_bars)
        else:
            bars = command.stored[-max(lookback_bars, live.history_bars) :]
            decision_input = input_of_bars(state, bars, lookback_bars, now, live.rules, warm_bars=live.warm_bars)
        recurrent = state.live.recurrent_before
        if decision_input.window.time != state.window.time:
            recurrent, _ = live.recurrent_around_newest(command.stored or (), state.calendar)
        return decision_input, recurrent

    def _process_bar(self, bar: Bar, batch: Batch, now: datetime) -> Staged:
        """Stage one bar: a new one goes through the pipeline, an old one is a duplicate, a conflict or late.

        Every source of bars passes here, so this is where a bar that has not closed yet is refused: processed, it would
        make every real bar behind it late.
        """
        try:
            require_interval(bar, batch.states[bar.symbol].calendar.interval)
            require_closed(bar, now)
        except InvalidBar as error:
            return error
        if (refusal := batch.refused.get(bar.symbol)) is not None:
            return refusal
        known = batch.known(bar.symbol, bar.time)
        if known is not None:
            if not known.agrees_with(bar):
                return BarConflict(bar.symbol, bar.time)
            return bar.symbol, bar.time, Disposition.DUPLICATE, None
        state = batch.states[bar.symbol]
        is_late = state.last_bar is not None and bar.time <= state.last_bar.time
        try:
            if is_late:
                refuse_late_bar_after_jump(bar, batch.prices_near(bar), self._rules.max_price_jump)
            else:
                state.refuse_bar_after_jump(bar, self._rules.max_price_jump)
        except PriceJump as error:
            return error
        if is_late:
            batch.known_bars[bar.symbol, bar.time] = bar
            batch.states[bar.symbol] = state.after_late_bar(bar)
            batch.events.append(MarketUpdate(bar, Disposition.LATE))
            return bar.symbol, bar.time, Disposition.LATE, None
        step = self._pipeline.on_bar(state, bar, batch.account)
        batch.known_bars[bar.symbol, bar.time] = bar
        batch.add(step)
        if self._pipeline.shadow is not None:
            policy = self._pipeline.shadow.policy.description.key
            batch.shadow_events.extend(ShadowEvent(policy, outcome) for outcome in step.shadowed)
        return bar.symbol, bar.time, step.disposition, None if step.signal is None else step.signal.signal_id


def _is_valid(prefetched: tuple[SymbolState, Request], state: SymbolState) -> bool:
    """Return whether a request that was prefetched from another state is the same from `state`.

    It depends on no position, but that its time is not before the entry, and that without a bar the entry is the price
    that prices are compared with.
    """
    known, (decision_input, _) = prefetched
    if state.last_bar is not known.last_bar:
        return False
    held = state.live.position
    if held is known.live.position:
        return True
    return state.last_bar is not None and held is not None and held.entry_time <= decision_input.timestamp
