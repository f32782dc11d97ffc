"""Pieces of work on their way through the engine, and what a batch has staged of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from ...domain.bars import Bar
from ...domain.errors import ServiceError
from ...domain.events import Event, Receipt
from ...domain.recurrent_state import ResetRule
from ..decision.pipeline import Pipeline, Step
from ..decision.prefetch import Outlooks
from ..decision.symbol_state import SymbolState
from ..ports.event_log import LogEntry
from ..ports.store import RecurrentCheckpoint, ShadowEvent
from .commands import PublishStream

log = logging.getLogger(__name__)

Outcome = Callable[[Sequence[LogEntry], int], Any]
"""Makes the answer of a piece of work from the committed entries and the sequence the log is durable up to."""


@dataclass(frozen=True, slots=True)
class Commits:
    """When a commit last succeeded; and when the newest failed, None if the newest succeeded."""

    succeeded_at: datetime | None = None
    failed_at: datetime | None = None


@dataclass(slots=True)
class Work:
    """One piece of work. `apply` stages it in a batch, or raises the ServiceError that is its answer.

    `flow` is what it belongs to, if its order with other work matters. Work that is a barrier is done with before
    anything that came after it is begun. `parts` gives the same bars as work of one bar each, if it has several.
    """

    symbols: frozenset[str]
    bars: Sequence[Bar]
    apply: Callable[[Batch], Outcome]
    answer: asyncio.Future[Any]
    flow: PublishStream | None = None
    is_barrier: bool = False
    parts: Callable[[], Sequence[Work]] | None = None

    @property
    def size(self) -> int:
        """How much it is, in bars."""
        return max(1, len(self.bars))

    def refuse(self, error: Exception) -> None:
        """Answer with an error."""
        if self.flow is not None and self.flow.broken_by is None:
            self.flow.broken_by = error
        if not self.answer.done():
            self.answer.set_exception(error)

    def refuse_alone(self, error: ServiceError) -> None:
        """Answer with an error that is no reason to refuse what follows: one refused bar does not end its flow."""
        if self.flow is None:
            self.refuse(error)
        elif not self.answer.done():
            self.answer.set_result([error] * len(self.bars))

    def divided(self) -> Sequence[Work]:
        """Work of one bar each in place of this one, whose answer is made of theirs."""
        if self.parts is None:
            return [self]
        parts = list(self.parts())
        together = asyncio.gather(*(part.answer for part in parts), return_exceptions=True)
        together.add_done_callback(self._answer_from)
        return parts

    def _answer_from(self, together: asyncio.Future[list[Any]]) -> None:
        if self.answer.done():
            return
        results: list[Receipt | ServiceError] = []
        for result in together.result():
            if isinstance(result, ServiceError):
                results.append(result)
            elif isinstance(result, BaseException):
                self.answer.set_exception(result)
                return
            else:
                results += result
        self.answer.set_result(results)


@dataclass(slots=True)
class Batch:
    """What is staged for one commit: states on top of those it began with, and the events that led to them.

    owner: the session that its symbols are held under. earlier_bars: bars of the commit before it, which may be under
    way still. before, states: of each symbol as the batch found it, and as it leaves it. new_symbols: those of which
    nothing was stored. refused: the error of each symbol on which nothing may be done. known_bars: stored or staged
    bars that bars of the batch may repeat. outlooks: what policies said ahead. outcomes: what each piece of work is
    answered once all of it is durable; also a refusal may rest on what is not durable yet.
    """

    owner: UUID | None = None
    earlier_bars: Mapping[tuple[str, datetime], Bar] = field(default_factory=dict)
    before: dict[str, SymbolState] = field(default_factory=dict)
    states: dict[str, SymbolState] = field(default_factory=dict)
    new_symbols: set[str] = field(default_factory=set)
    refused: dict[str, ServiceError] = field(default_factory=dict)
    known_bars: dict[tuple[str, datetime], Bar] = field(default_factory=dict)
    outlooks: Outlooks = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    shadow_events: list[ShadowEvent] = field(default_factory=list)
    outcomes: list[tuple[Work, Outcome | ServiceError]] = field(default_factory=list)
    size: int = 0
    has_barrier: bool = False

    def stage(self, work: Work) -> None:
        """Do a piece of work, or refuse it."""
        self.size += work.size
        self.has_barrier = self.has_barrier or work.is_barrier
        if work.flow is not None and work.flow.broken_by is not None:
            work.refuse(work.flow.broken_by)
            return
        try:
            with self._all_or_nothing(work):
                outcome: Outcome | ServiceError = work.apply(self)
        except ServiceError as error:
            outcome = error
        except Exception as error:
            log.exception("a piece of work failed; its neighbours go on")
            work.refuse(error)
            return
        self.outcomes.append((work, outcome))

    def take(self, step: Step) -> None:
        """Stage a step."""
        self.states[step.state.symbol] = step.state
        self.events.extend(step.events)

    def known(self, bar: Bar) -> Bar | None:
        """The stored or staged bar of the same symbol and time."""
        key = (bar.symbol, bar.time)
        return self.known_bars.get(key) or self.earlier_bars.get(key)

    def may_know(self, bar: Bar) -> bool:
        """True if a bar is no newer than the newest of its symbol, and only the store can tell whether it is there."""
        last = self.states[bar.symbol].last_bar
        return last is not None and bar.time <= last.time and self.known(bar) is None

    def checkpoints(self, pipeline: Pipeline) -> Iterator[RecurrentCheckpoint]:
        """The recurrent states that bars of the batch led to."""
        for symbol, state in self.states.items():
            if state.window is self.before[symbol].window or state.window.time is None:
                continue
            for trader, book in ((pipeline.live, state.live), (pipeline.shadow, state.shadow)):
                if trader is not None and book is not None and trader.policy.description.reset is not ResetRule.NONE:
                    yield RecurrentCheckpoint(
                        symbol=symbol,
                        policy=trader.policy.description.key,
                        shadow=trader is pipeline.shadow,
                        bar_time=state.window.time,
                        before=book.recurrent_before,
                        after=book.recurrent,
                    )

    @contextmanager
    def _all_or_nothing(self, work: Work) -> Iterator[None]:
        """Take back what `work` staged if it fails half way."""
        states = {symbol: self.states[symbol] for symbol in work.symbols}
        events, shadow_events = len(self.events), len(self.shadow_events)
        try:
            yield
        except Exception:
            self.states.update(states)
            del self.events[events:]
            del self.shadow_events[shadow_events:]
            for bar in work.bars:
                if self.known_bars.get((bar.symbol, bar.time)) is bar:
                    del self.known_bars[bar.symbol, bar.time]
            raise


def new_answer() -> asyncio.Future[Any]:
    """A future whose exception need not be read: a caller that has gone away is nothing to warn about."""
    answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    answer.add_done_callback(lambda done: done.cancelled() or done.exception())
    return answer
