"""A batch: the events and states that are staged for one commit."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache, partial
from itertools import islice
from time import perf_counter
from typing import Generic, Protocol, TypeVar
from uuid import UUID

from ...domain.account import Account
from ...domain.bars import Bar
from ...domain.errors import ServiceError
from ...domain.events import Event
from ...domain.recurrent_state import ResetRule
from ..decision.pipeline import Pipeline, Step
from ..decision.source import DecisionSource
from ..decision.symbol_state import JUMP_MEMORY, SymbolState
from ..ports.event_log import LogEntry
from ..ports.feed import BarResult
from ..ports.idempotency import CallKey, KeyUse
from ..ports.observer import current_trace
from ..ports.store import RecurrentCheckpoint, ShadowEvent
from .commands import Command

log = logging.getLogger(__name__)

C = TypeVar("C", bound=Command)
R_co = TypeVar("R_co", covariant=True)


class Pending(Protocol[R_co]):
    """The result of a command that is staged."""

    def confirmed(self, entries: Sequence[LogEntry], through: int) -> R_co:
        """Return the result, given the committed entries of the batch and the newest sequence that is durable."""
        ...


class QueuedCall(Generic[R_co]):
    """A command on its way through the writer, its handler, and the future that its caller awaits.

    handler: stages the events of the command in a batch, or raises the ServiceError that refuses it.
    bars: the bars that the command publishes; none if it is another command.
    key: its idempotency key, if it has one; then it appends an entry to the log.
    received_at, trace: see HandledCommand.
    """

    def __init__(
        self,
        command: C,
        handler: Callable[[C, Batch], Pending[R_co]],
        bars: Sequence[Bar] = (),
        key: CallKey[R_co] | None = None,
    ) -> None:
        self.command = command
        self.key = key
        self.symbols = command.symbols
        self.bars = bars
        self.size = max(1, len(bars))
        self.received_at, self.trace = perf_counter(), current_trace.get()
        self.result: asyncio.Future[R_co] = asyncio.get_running_loop().create_future()
        self._handle = partial(handler, command)
        self._pending: Pending[R_co] | ServiceError | None = None

    def handle(self, batch: Batch) -> None:
        """Stage the events of the command, or its refusal.

        Raises:
            ServiceError: the command is refused, once what the refusal rests on is durable.
        """
        try:
            self._pending = self._handle(batch)
        except ServiceError as error:
            self._pending = error
            raise

    def key_use(self) -> KeyUse | None:
        """Return what is to be stored of its key with the events that it has staged; None if it was refused."""
        key, pending = self.key, self._pending
        if key is None or pending is None or isinstance(pending, ServiceError):
            return None
        return KeyUse(key.request, lambda entries: key.encode(pending.confirmed(entries, 0)))

    def confirm(self, entries: Sequence[LogEntry], through: int) -> None:
        """Give the caller the result, or the refusal, now that all it rests on is durable. See Pending."""
        if isinstance(self._pending, ServiceError):
            self.refuse(self._pending)
        elif self._pending is not None and not self.result.done():
            self.result.set_result(self._pending.confirmed(entries, through))

    def refuse(self, error: Exception) -> None:
        """Give the caller an error."""
        if not self.result.done():
            self.result.set_exception(error)
            self.result.exception()  # a caller that has gone away does not read it, and that is nothing to warn about

    def refuse_alone(self, error: ServiceError) -> None:
        """Give the caller an error that is no reason to refuse the commands behind this one."""
        self.refuse(error)

    def bar_results(self) -> Sequence[BarResult]:
        """Return the results of its bars, once they are confirmed."""
        return ()

    def broken_by(self) -> Exception | None:
        """Return the error after which commands of the same publish stream are refused."""
        return None

    def divided(self) -> Sequence[QueuedCall[object]]:
        """Return commands that lead to the same when handled one by one; this one's result is made of theirs."""
        return [self]


@dataclass(slots=True)
class Batch:
    """What is staged for one commit: the events, and the states after them.

    lease_id: the lease under which its symbols are held.
    opening, account: the account before and after it, as far as the protections look at it.
    earlier_bars: bars of the commit before it, which may still be running.
    before, states: of each symbol as the batch found it, and as it leaves it.
    new_symbols: symbols of which nothing was stored.
    refused: the error for each symbol on which no command may act.
    known_bars: stored or staged bars that bars of the batch may repeat.
    sources: what the signals among the events were made from.
    keys: the idempotency keys of commands that staged events.
    commands: those handled, in order; their results, and refusals, hold once all of the batch is durable.
    size: number of bars, where any other command counts as one.
    staged_at: when it was begun, by time.perf_counter.
    """

    lease_id: UUID | None
    opening: Account
    account: Account
    earlier_bars: Mapping[tuple[str, datetime], Bar] = field(default_factory=dict)
    before: dict[str, SymbolState] = field(default_factory=dict)
    states: dict[str, SymbolState] = field(default_factory=dict)
    new_symbols: set[str] = field(default_factory=set)
    refused: dict[str, ServiceError] = field(default_factory=dict)
    known_bars: dict[tuple[str, datetime], Bar] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    shadow_events: list[ShadowEvent] = field(default_factory=list)
    sources: list[DecisionSource] = field(default_factory=list)
    keys: list[KeyUse] = field(default_factory=list)
    commands: list[QueuedCall[object]] = field(default_factory=list)
    size: int = 0
    staged_at: float = field(default_factory=perf_counter)

    def handle(self, command: QueuedCall[object]) -> None:
        """Stage the events of a command, or refuse it; nothing of one that fails half way stays."""
        self.size += command.size
        if (broken_by := command.broken_by()) is not None:
            command.refuse(broken_by)
            return
        states = {symbol: self.states[symbol] for symbol in command.symbols}
        events, shadow_events, sources = len(self.events), len(self.shadow_events), len(self.sources)
        account = self.account
        try:
            command.handle(self)
        except Exception as error:
            self.states.update(states)
            self.account = account
            del self.events[events:]
            del self.shadow_events[shadow_events:]
            del self.sources[sources:]
            for bar in command.bars:
                if self.known_bars.get((bar.symbol, bar.time)) is bar:
                    del self.known_bars[bar.symbol, bar.time]
            if not isinstance(error, ServiceError):
                log.exception("a command failed; the others of the batch go on")
                command.refuse(error)
                return
        if command.key is not None and (use := command.key_use()) is not None:
            self.keys.append(use)
        self.commands.append(command)

    def add(self, step: Step) -> None:
        """Stage a step of the pipeline."""
        self.states[step.state.symbol] = step.state
        self.account = step.account or self.account
        self.events.extend(step.events)
        self.sources.extend(step.sources)

    def known(self, symbol: str, time: datetime) -> Bar | None:
        """Return the stored or staged bar of a symbol that opened at `time`."""
        return self.known_bars.get((symbol, time)) or self.earlier_bars.get((symbol, time))

    def unknown_near(self, old: Sequence[tuple[str, datetime]]) -> Sequence[tuple[str, datetime]]:
        """Return the symbols and times of the bars near those of `old` that repeat no bar, and so are late."""
        late = [key for key in old if self.known(*key) is None]
        near = {
            (symbol, at)
            for symbol, time in late
            for step in steps_near(self.states[symbol].calendar.interval)
            for at in (time - step, time + step)
        }
        return [key for key in near if self.known(*key) is None]

    def prices_near(self, bar: Bar) -> list[float]:
        """Return the close of the nearest known bar before `bar` and the open of that after it, if they are near."""
        symbol, time, steps = bar.symbol, bar.time, steps_near(bar.interval)
        closes = (one.close for step in steps if (one := self.known(symbol, time - step)) is not None)
        opens = (one.open for step in steps if (one := self.known(symbol, time + step)) is not None)
        return [*islice(closes, 1), *islice(opens, 1)]

    def may_be_stored(self, bar: Bar) -> bool:
        """Return True if a bar is no newer than the newest of its symbol, so that it may be in the store."""
        last = self.states[bar.symbol].last_bar
        return last is not None and bar.time <= last.time and self.known(bar.symbol, bar.time) is None

    def checkpoints(self, pipeline: Pipeline) -> Iterator[RecurrentCheckpoint]:
        """Yield the recurrent states after the bars of the batch."""
        for symbol, state in self.states.items():
            if state.window is self.before[symbol].window or state.window.time is None:
                continue
            for trader, book in ((pipeline.live, state.live), (pipeline.shadow, state.shadow)):
                if trader is None or book is None or not trader.is_for(state.calendar.interval):
                    continue
                if trader.policy.description.reset is not ResetRule.NONE:
                    yield RecurrentCheckpoint(
                        symbol=symbol,
                        policy=trader.policy.description.key,
                        shadow=trader is pipeline.shadow,
                        bar_time=state.window.time,
                        before=book.recurrent_before,
                        after=book.recurrent,
                    )


@cache
def steps_near(interval: timedelta) -> Sequence[timedelta]:
    """Return how far from a late bar of `interval` lie the bars that it is compared with, the nearest first."""
    return [n * interval for n in range(1, max(1, JUMP_MEMORY // interval) + 1)]
