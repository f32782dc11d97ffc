"""The six promises of the streams, as a state machine with any order of events and faults.

Ordered, unique, atomic, reliable, resumable, bookmarkable: the real engine, log tail and followers on a store that
fails on demand. One machine runs on every store: in memory by
tests/unit/application/event_log/test_promises.py, on the real PostgreSQL by tests/integration/test_promises.py. The
same is done to the real processes in tests/e2e/test_promises.py.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any, Protocol, TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule, run_state_machine_as_test

from tradingsignals_server.application.decision.pipeline import Pipeline
from tradingsignals_server.application.decision.trader import Trader
from tradingsignals_server.application.event_log import group as group_module
from tradingsignals_server.application.event_log.filter import Filter
from tradingsignals_server.application.event_log.follower import Followers, StreamRequest
from tradingsignals_server.application.event_log.group import ResponseLimits
from tradingsignals_server.application.event_log.replay import Replay
from tradingsignals_server.application.event_log.retention import Retention
from tradingsignals_server.application.event_log.tail import LogTail
from tradingsignals_server.application.ingest.engine import Engine
from tradingsignals_server.application.ports.event_log import LogEntry
from tradingsignals_server.application.ports.store import Store
from tradingsignals_server.domain.calendar import calendar_for
from tradingsignals_server.domain.errors import SequencePruned, ShuttingDown, StorageUnavailable
from tradingsignals_server.domain.events import Disposition, Event, EventKind, MarketUpdate, Receipt
from tradingsignals_server.domain.risk import RiskRules

from .builders import NOW, bar, walk
from .deadlines import DEADLINE
from .following import PICKLED, Batch, Batches
from .memory_store import Fault
from .running import following, patched

SYMBOLS = ("USDCOP", "EURCOP")
ELSEWHERE = "GBPCOP"
LINES = {symbol: walk(600, seed=n, symbol=symbol) for n, symbol in enumerate(SYMBOLS)}
WARM = 60
FILTERS = st.builds(
    Filter,
    kinds=st.frozensets(st.sampled_from(EventKind), max_size=2),
    symbols=st.frozensets(st.sampled_from((*SYMBOLS, ELSEWHERE)), max_size=2),
    min_confidence=st.sampled_from([None, None, 0.5, 0.9]),
)

T = TypeVar("T")


class ShakyStore(Store, Protocol):
    """A store that fails on demand, and records all commits, whatever it returns.

    faults: taken one a commit of the server. down: every read fails. oldest: the oldest sequence that is kept.
    """

    faults: deque[Fault]
    down: bool
    oldest: int

    @property
    def entries(self) -> Sequence[LogEntry]:
        """All committed entries, in order."""
        ...

    @property
    def commits(self) -> Sequence[int]:
        """The number of entries of each commit."""
        ...

    async def commit_elsewhere(self, events: Sequence[Event]) -> None:
        """Commit as another server, without a fault."""
        ...

    async def forget_elsewhere(self, oldest: int) -> None:
        """Remove the entries before `oldest`, as the retention of another server does."""
        ...


Opened = Callable[[], AbstractAsyncContextManager[ShakyStore]]
"""Opens a new, empty store."""


@dataclass
class Subscriber:
    """A follower, and all entries that it got, over all its connections."""

    filter: Filter
    came_after: int
    through: int
    follower: Batches | None
    seen: list[LogEntry] = field(default_factory=list)


class Promises(RuleBasedStateMachine):
    """One database, its server, other servers, and subscribers that connect, stall, disconnect and resume."""

    subscribers = Bundle("subscribers")

    def __init__(self, opened: Opened) -> None:
        super().__init__()
        self._small = ExitStack()
        self._small.enter_context(patched(group_module, "KEPT_RESPONSES", 3))
        self._runner = asyncio.Runner()
        self._open = AsyncExitStack()
        self.store = self._run(self._open.enter_async_context(opened()))
        self.published = dict.fromkeys(SYMBOLS, 0)
        self.elsewhere = 0
        self.ends = {0}
        """Sequences at which a commit ended."""
        self.everyone: list[Subscriber] = []
        self._run(self._start())
        for symbol in SYMBOLS:
            self.publish(symbol, WARM)
            assert self.published[symbol] == WARM

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        async def in_time() -> T:
            async with asyncio.timeout(DEADLINE):
                return await work

        return self._runner.run(in_time())

    async def _start(self) -> None:
        self.log_tail = LogTail(self.store, await self.store.log_head(), tail_entries=6, page_entries=4)
        self.followers = Followers(self.log_tail, limits=ResponseLimits(entries=3, bytes=6))
        pipeline = Pipeline(Trader(following(), RiskRules()), calendar_for)
        self.engine = Engine(self.store, pipeline, self.log_tail, lambda: NOW)
        self.writer = asyncio.create_task(self.engine.run())
        self.retention = Retention(self.store, self.log_tail, lambda: NOW, timedelta(days=1), timedelta(days=1))

    # --------------------------------------------------------------------------------------------- what is published

    @rule(symbol=st.sampled_from(SYMBOLS), count=st.integers(1, 7))
    def publish(self, symbol: str, count: int) -> None:
        """Publish bars; those that could not be stored are published again by the next call."""
        before = self.published[symbol]
        self._run(self._publish(symbol, count))
        assert self.store.down or self.published[symbol] == before + count, "nothing was in the way"

    @rule(symbol=st.sampled_from(SYMBOLS), count=st.integers(1, 7), fault=st.sampled_from([Fault.BEFORE, Fault.AFTER]))
    def publish_into_a_fault(self, symbol: str, count: int, fault: Fault) -> None:
        """Lose the database before a commit, or after it, when only the response is lost."""
        self.store.faults.append(fault)
        self._run(self._publish(symbol, count))
        self.store.faults.clear()

    async def _publish(self, symbol: str, count: int) -> None:
        first = self.published[symbol]
        results = await self.engine.publish(LINES[symbol][first : first + count])
        if all(isinstance(result, Receipt) for result in results):
            self.published[symbol] += count
        self._note_commits()

    @rule(subscriber=subscribers, count=st.integers(6, 20), keep=st.integers(1, 12))
    def fall_behind(self, subscriber: Subscriber, count: int, keep: int) -> None:
        """Let other servers commit while a follower stalls; its next page may have been pruned in part."""
        self.another_server_commits(count, notified=False)
        self.publish(SYMBOLS[0], 2)
        self.prune(keep, notified=False)
        self.read(subscriber, 3)

    @rule(count=st.integers(1, 9), notified=st.booleans())
    def another_server_commits(self, count: int, notified: bool) -> None:
        """Commit bars of a symbol of another server; this one is notified now, or by its own next commit."""
        updates = [MarketUpdate(bar(self.elsewhere + n, symbol=ELSEWHERE), Disposition.LATE) for n in range(count)]
        self.elsewhere += count
        self._run(self.store.commit_elsewhere(updates))
        self._note_commits()
        if notified:
            self.log_tail.advance(len(self.store.entries))

    def _note_commits(self) -> None:
        total = 0
        for count in self.store.commits:
            total += count
            self.ends.add(total)

    # -------------------------------------------------------------------------------------------------------- followers

    @rule(target=subscribers, filter_=FILTERS, back=st.none() | st.integers(0, 40))
    def subscribe(self, filter_: Filter, back: int | None) -> Subscriber:
        """Subscribe from now on, or after any kept sequence."""
        after = None if back is None else max(self.log_tail.newest - back, self.store.oldest - 1)
        follower = self._run(self._follow(filter_, after))
        subscriber = Subscriber(filter_, follower.cursor, follower.cursor, follower)
        self.everyone.append(subscriber)
        return subscriber

    @rule(subscriber=subscribers, count=st.integers(1, 6))
    def read(self, subscriber: Subscriber, count: int) -> None:
        """Read some responses; a subscriber that is not read stalls."""
        self._run(self._read(subscriber, count))

    @rule(subscriber=subscribers)
    def vanish(self, subscriber: Subscriber) -> None:
        """Drop the connection, with responses that were never read."""
        if subscriber.follower is not None and not self.store.down:
            self._run(self._lose_response(subscriber.follower))
        subscriber.follower = None

    @rule(subscriber=consumes(subscribers))
    def leave(self, subscriber: Subscriber) -> None:
        """End a subscriber, after it has all entries."""
        self._settle(subscriber)
        self.everyone.remove(subscriber)

    @rule(filter_=FILTERS, first=st.integers(0, WARM), length=st.integers(1, 30))
    def replay(self, filter_: Filter, first: int, length: int) -> None:
        """A replay of a sequence range is complete, in the order of the log, without duplicates, and ends."""
        if not self.store.down:
            self._run(self._replay(filter_, first, length))

    # ----------------------------------------------------------------------------------------------- what happens

    @rule()
    def database_goes_away(self) -> None:
        """Stop the database; the other rule starts it again."""
        self.store.down = True

    @rule()
    def database_comes_back(self) -> None:
        """Start the database again."""
        self.store.down = False

    @rule(stops=st.booleans())
    def restart(self, stops: bool) -> None:
        """Stop or kill the server; another one continues the log."""
        self.store.down = False
        self._run(self._restart(stops=stops))

    @rule(keep=st.integers(1, 30), notified=st.booleans())
    def prune(self, keep: int, notified: bool) -> None:
        """Prune the log; followers behind it are ended with an error."""
        self._run(self.store.forget_elsewhere(max(self.store.oldest, self.log_tail.newest + 1 - keep)))
        if notified and not self.store.down:
            self._run(self.retention.prune())
            assert self.log_tail.oldest == self.store.oldest

    # ----------------------------------------------------------------------------------------------- what must hold

    @invariant()
    def commits_are_appended_whole(self) -> None:
        """Atomic: the last sequence of each follower is the end of a commit."""
        assert self.log_tail.newest in self.ends

    @invariant()
    def the_log_has_no_gap(self) -> None:
        """Ordered: entries have consecutive sequences, without duplicates."""
        assert [entry.sequence for entry in self.store.entries] == list(range(1, len(self.store.entries) + 1))

    def teardown(self) -> None:
        """Reliable: at the end every subscriber has all entries."""
        self.store.down = False
        with self._small, self._runner:
            try:
                for subscriber in self.everyone:
                    self._settle(subscriber)
                self._run(self._stop())
            finally:
                self._run(self._open.aclose())

    def _settle(self, subscriber: Subscriber) -> None:
        down, self.store.down = self.store.down, False
        while subscriber.through < self.log_tail.newest:
            self._run(self._read(subscriber, 50))
        self.store.down = down
        expected = [
            entry
            for entry in self.store.entries[subscriber.came_after : subscriber.through]
            if subscriber.filter.passes(entry)
        ]
        assert subscriber.seen == expected

    async def _follow(
        self, filter_: Filter, after: int | None, heartbeat_seconds: float = 0.0, replay: Replay | None = None
    ) -> Batches:
        request = StreamRequest(filter_, after, heartbeat_seconds, replay)
        return Batches(self.log_tail, await self.followers.open(request, PICKLED))

    async def _read(self, subscriber: Subscriber, count: int) -> None:
        for _ in range(count):
            try:
                if subscriber.follower is None:
                    subscriber.follower = await self._follow(subscriber.filter, subscriber.through)
                batch = await anext(subscriber.follower)
            except StorageUnavailable:
                assert self.store.down
                subscriber.follower = None
                return
            except SequencePruned as error:
                self._lose_place(subscriber, int(error.metadata["oldest_sequence"]))
                return
            self._take(subscriber, batch)

    def _lose_place(self, subscriber: Subscriber, oldest: int) -> None:
        """Start again from the oldest kept entry, after checking which entries were missed."""
        assert subscriber.through + 1 < oldest <= self.store.oldest
        subscriber.came_after = subscriber.through = self.store.oldest - 1
        subscriber.seen.clear()
        subscriber.follower = None

    def _take(self, subscriber: Subscriber, batch: Batch) -> None:
        assert subscriber.follower is not None
        before, subscriber.through = subscriber.through, batch.through_sequence
        assert subscriber.follower.cursor == batch.through_sequence
        expected = [e for e in self.store.entries[before : subscriber.through] if subscriber.filter.passes(e)]
        assert list(batch.entries) == expected, "ordered, unique, and complete through the bookmark"
        assert before <= subscriber.through <= self.log_tail.newest
        subscriber.seen.extend(batch.entries)

    async def _lose_response(self, follower: Batches) -> None:
        try:
            await anext(follower)
        except SequencePruned:
            assert follower.cursor + 1 < self.store.oldest

    async def _replay(self, filter_: Filter, first: int, length: int) -> None:
        line = LINES[SYMBOLS[0]]
        range_ = Replay(line[first].time, line[first + length].time)
        kept = self.store.entries[self.store.oldest - 1 : self.log_tail.newest]
        found = [batch async for batch in await self._follow(filter_, None, 3600.0, range_)]
        expected = [entry for entry in kept if range_.has(entry) and filter_.passes(entry)]
        assert [entry for batch in found for entry in batch.entries] == expected

    async def _restart(self, *, stops: bool) -> None:
        if stops:
            await self._stop()
            for subscriber in self.everyone:
                if subscriber.follower is not None:
                    await self._hear_the_end(subscriber)
        else:
            self.writer.cancel()
            await asyncio.wait((self.writer,))
        for subscriber in self.everyone:
            subscriber.follower = None
        await self._start()

    async def _hear_the_end(self, subscriber: Subscriber) -> None:
        """Stop the server: it delivers all committed entries, and reports the last sequence."""
        assert subscriber.follower is not None
        while True:
            try:
                self._take(subscriber, await anext(subscriber.follower))
            except ShuttingDown as end:
                reported = int(end.metadata["sequence"])
                break
            except SequencePruned:
                assert subscriber.through + 1 < self.store.oldest
                return
        assert reported == subscriber.through == self.log_tail.newest

    async def _stop(self) -> None:
        self.log_tail.stop()
        await self.engine.stop()
        await self.writer


def hold_the_promises(opened: Opened, how: settings) -> None:
    """Run the state machine on stores that `opened` opens, one for each example."""
    machine = partial(Promises, opened)
    run_state_machine_as_test(machine, settings=how)  # type: ignore[arg-type]  # it takes whatever makes one
