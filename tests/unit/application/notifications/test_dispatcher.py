"""Delivery to endpoints: in order, at least once, none lost, and none waits for another."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st
from tests.support.builders import NOW, bar, signal
from tests.support.deadlines import within
from tests.support.memory_endpoints import MemoryEndpoints, endpoint
from tests.support.memory_store import MemoryStore

from tradingsignals_server.application.event_log.follower import Followers
from tradingsignals_server.application.event_log.group import ResponseLimits
from tradingsignals_server.application.event_log.tail import LogTail
from tradingsignals_server.application.notifications.delivery import Delivering
from tradingsignals_server.application.notifications.dispatcher import Dispatcher
from tradingsignals_server.application.notifications.messages import BodyEncoding
from tradingsignals_server.application.ports.event_log import LogEntry
from tradingsignals_server.application.ports.notifications import EndpointChanges, Message
from tradingsignals_server.domain.errors import time_text
from tradingsignals_server.domain.events import Disposition, Event, EventKind, MarketUpdate
from tradingsignals_server.domain.notifications import (
    DISABLE_AFTER,
    Attempt,
    DeliveryProgress,
    Endpoint,
    EndpointKind,
    EndpointState,
    EntryFilter,
)

Step = Callable[[Endpoint, Message], Attempt]


def updates(first: int, count: int) -> list[Event]:
    return [MarketUpdate(bar(n), Disposition.WARMING_UP) for n in range(first, first + count)]


def body(entry: LogEntry) -> bytes:
    return json.dumps({"timestamp": time_text(entry.time), "data": {"sequence": entry.sequence}}).encode()


class World:
    """A log, endpoints, and a sender that fails by a script. Time passes by sleeping alone."""

    def __init__(self, *endpoints: Endpoint, entries: int = 0, tail_entries: int = 1000) -> None:
        self.now = NOW
        self.log = MemoryStore()
        self.log.put(updates(0, entries), NOW)
        self.store = MemoryEndpoints(*endpoints)
        self.sent: dict[str, list[Message]] = {}
        self.errors: dict[str, list[Attempt]] = {}
        self.silent: set[str] = set()
        self.accepted: list[Message] = []
        self.ages: list[float] = []
        self.changed = asyncio.Event()
        self._tail_entries = tail_entries
        self.tail: LogTail

    async def send(self, one: Endpoint, message: Message) -> Attempt:
        """See Sender."""
        self.sent.setdefault(one.name, []).append(message)
        self.changed.set()
        await asyncio.sleep(0)
        if one.name in self.silent:
            await asyncio.Event().wait()
        errors = self.errors.get(one.name)
        if errors:
            return replace(errors.pop(0), time=self.now)
        self.accepted.append(message)
        return Attempt(self.now, 1.0, 204)

    def attempted(self, kind: EndpointKind, attempt: Attempt, age_seconds: float) -> None:
        """See NotificationObserver."""
        assert kind is EndpointKind.WEBHOOK
        self.ages.append(age_seconds)
        self.changed.set()

    async def sleep(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        await asyncio.sleep(0)

    def clock(self) -> datetime:
        return self.now

    def append(self, *events: Event) -> None:
        self.tail.append(self.log.put(list(events), self.now))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Dispatcher]:
        """Run a dispatcher, as of a server that has just started, and end it as a kill does."""
        self.tail = LogTail(self.log, await self.log.log_head(), self._tail_entries)
        shared = Delivering(
            store=self.store,
            sender=self,
            log_tail=self.tail,
            followers=Followers(self.tail, limits=ResponseLimits(entries=1)),
            encoding=BodyEncoding(body),
            clock=self.clock,
            chance=random.Random(5).random,
            sleep=self.sleep,
            observer=self,
        )
        dispatcher = Dispatcher(shared)
        task = asyncio.create_task(dispatcher.run())
        try:
            yield dispatcher
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def until(self, done: Callable[[], bool]) -> None:
        """Wait until a condition holds after a message or a result."""
        async with asyncio.timeout(30):
            while not done():
                self.changed.clear()
                await self.changed.wait()
                await asyncio.sleep(0)

    def cursor(self, one: Endpoint) -> int:
        return self.store.endpoints[one.id].progress.cursor

    def sequences(self, one: Endpoint) -> list[int]:
        return [json.loads(message.body)["data"]["sequence"] for message in self.sent.get(one.name, [])]


FAILURE = Attempt(NOW, 1.0, 503, "HTTP 503")


async def test_entries_are_delivered_from_the_cursor_on_and_then_live() -> None:
    one = endpoint(cursor=2)
    world = World(one, entries=5)
    async with world.running():
        await world.until(lambda: world.cursor(one) == 5)
        world.append(*updates(5, 2))
        await world.until(lambda: world.cursor(one) == 7)
    assert world.sequences(one) == [3, 4, 5, 6, 7]
    assert [message.id for message in world.sent[one.name]][:2] == [f"msg_{world.log.epoch.hex}_{n}" for n in (3, 4)]


async def test_entries_that_do_not_pass_the_filter_are_not_sent() -> None:
    one = endpoint(filter_=EntryFilter(frozenset({EventKind.SIGNAL}), min_confidence=0.7))
    world = World(one)
    async with world.running():
        world.append(*updates(0, 3), signal(name=1), *updates(3, 2), signal(name=2))
        await world.until(lambda: world.cursor(one) == 7)
    assert world.sequences(one) == [4, 7]


async def test_failed_message_is_sent_again_with_its_id_and_blocks_those_after_it() -> None:
    one = endpoint()
    world = World(one, entries=3)
    world.errors[one.name] = [FAILURE, FAILURE]
    async with world.running():
        await world.until(lambda: world.cursor(one) == 3)
    assert world.sequences(one) == [1, 1, 1, 2, 3]
    assert len({message.id for message in world.sent[one.name]}) == 3
    kept = await world.store.list_deliveries(one.id, 10)
    assert [(each.sequence, each.number, bool(each.attempt.error)) for each in reversed(kept)] == [
        *((1, 1, True), (1, 2, True), (1, 3, False), (2, 1, False), (3, 1, False))
    ]
    assert max(world.ages) >= 2.5 + 5.0  # what was waited for


async def test_silent_endpoint_delays_no_other() -> None:
    one, other = endpoint(1), endpoint(2)
    world = World(one, other, entries=40)
    world.silent.add(one.name)
    async with world.running() as dispatcher:
        await world.until(lambda: world.cursor(other) == 40)
        assert [each.progress.cursor for each in dispatcher.endpoints] == [40, 0]
    assert world.sequences(one) == [1]


async def test_endpoint_that_fails_for_too_long_is_disabled_and_goes_on_where_it_stopped() -> None:
    one = endpoint()
    world = World(one, entries=2)
    world.errors[one.name] = [FAILURE] * 2000
    async with world.running() as dispatcher:
        await world.until(lambda: world.store.endpoints[one.id].progress.state is EndpointState.DISABLED)
        assert world.now - NOW >= DISABLE_AFTER
        tries = len(world.sent[one.name])
        assert tries > 500
        world.errors[one.name] = []
        await world.store.change_endpoint(one.id, EndpointChanges(state=EndpointState.ACTIVE))
        await world.until(lambda: world.cursor(one) == 2)
        assert not any(each.progress.is_failing for each in dispatcher.endpoints)
    assert world.sequences(one)[tries:] == [1, 2]


async def test_paused_endpoint_gets_nothing_and_later_what_came_meanwhile() -> None:
    one = endpoint()
    world = World(one, entries=1)
    async with world.running():
        await world.until(lambda: world.cursor(one) == 1)
        await world.store.change_endpoint(one.id, EndpointChanges(state=EndpointState.PAUSED))
        other = endpoint(2, cursor=1)
        await world.store.add_endpoint(other)
        world.append(*updates(1, 3))
        await world.until(lambda: world.cursor(other) == 4)
        assert world.sequences(one) == [1]
        await world.store.change_endpoint(one.id, EndpointChanges(state=EndpointState.ACTIVE))
        await world.until(lambda: world.cursor(one) == 4)
    assert world.sequences(one) == [1, 2, 3, 4]


async def test_endpoint_behind_retention_goes_on_at_the_oldest_entry_and_counts_the_lost() -> None:
    one = endpoint(cursor=2)
    world = World(one, entries=10, tail_entries=1)
    await world.log.prune(NOW + timedelta(days=1), 6)
    async with world.running():
        await world.until(lambda: world.cursor(one) == 10)
    assert world.sequences(one) == [7, 8, 9, 10]
    assert world.store.endpoints[one.id].progress == DeliveryProgress(10, lost=4)


async def test_deleted_endpoint_gets_nothing_more() -> None:
    one, other = endpoint(1), endpoint(2)
    world = World(one, other, entries=1)
    async with world.running() as dispatcher:
        await world.until(lambda: world.cursor(one) == world.cursor(other) == 1)
        await world.store.delete_endpoint(one.id)
        world.append(*updates(1, 1))
        await world.until(lambda: world.cursor(other) == 2)
        world.append(*updates(2, 1))
        await world.until(lambda: world.cursor(other) == 3)
        assert [each.id for each in dispatcher.endpoints] == [other.id]
    assert 3 not in world.sequences(one)


async def test_outage_of_the_database_after_a_delivery_sends_nothing_twice() -> None:
    one = endpoint()
    world = World(one, entries=2)
    world.store.failures = 3
    async with world.running():
        await world.until(lambda: world.cursor(one) == 2)
    assert world.sequences(one) == [1, 2]


async def test_two_dispatchers_at_once_lose_nothing_and_move_the_cursor_once() -> None:
    one = endpoint()
    world = World(one, entries=20)
    async with world.running():
        first = world.tail
        async with world.running():
            await world.until(lambda: world.cursor(one) == 20)
        assert first.newest == 20
    delivered = [each.sequence for each in reversed(await world.store.list_deliveries(one.id, 100))]
    assert delivered == list(range(1, 21))


@given(
    st.lists(st.one_of(st.none(), st.integers(0, 12)), max_size=12),
    st.lists(st.integers(0, 3), min_size=1, max_size=30),
)
async def test_whatever_fails_and_whenever_it_is_killed_order_holds_and_none_is_lost(
    kills: Sequence[int | None], failures: Sequence[int]
) -> None:
    one = endpoint()
    world = World(one, entries=8)
    world.errors[one.name] = [FAILURE for count in failures for _ in range(count)]
    for after in kills:
        if after is None:
            world.log.put(updates(len(world.log.events), 1), NOW)
            continue
        async with world.running():
            for _ in range(after * 3):
                await asyncio.sleep(0)
    async with world.running():
        await within(world.until(lambda: world.cursor(one) == len(world.log.entries)))
    sent = world.sequences(one)
    taken = [json.loads(message.body)["data"]["sequence"] for message in world.accepted]
    assert list(dict.fromkeys(taken)) == list(range(1, len(world.log.entries) + 1)), "none is lost, first ones in order"
    assert sent == sorted(sent), "none is sent after a later one was"
    assert len({message.id for message in world.sent[one.name]}) == len(set(sent))
