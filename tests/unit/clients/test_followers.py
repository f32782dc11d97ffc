"""Both followers on real connections that break: each item exactly once, permanent errors raised, close at once."""

from __future__ import annotations

import asyncio
import random
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from tests.support.deadlines import within
from tests.support.frozen_proxy import frozen_proxy
from tests.support.log_server import LogServer, Plan, ends, ends_with, is_silent
from tests.support.ports import free_ports

import tradingsignals
from tradingsignals import Backoff, Connected, Disconnected, EpochChanged, Event, EventsPruned, Signal, Skipped
from tradingsignals.v1.event_service_pb2 import StreamEventsRequest
from tradingsignals.v1.position_service_pb2 import StreamPositionsRequest
from tradingsignals.v1.signal_service_pb2 import StreamSignalsRequest

SOON = Backoff(first_seconds=0.001, max_seconds=0.01)
NEVER = Backoff(first_seconds=3600.0, max_seconds=3600.0)
GONE = ends_with(grpc.StatusCode.UNAVAILABLE, "SHUTTING_DOWN")
BREAKS = [
    GONE,
    ends_with(grpc.StatusCode.UNAVAILABLE),
    ends_with(grpc.StatusCode.INTERNAL),
    ends_with(grpc.StatusCode.CANCELLED),
    ends_with(grpc.StatusCode.UNKNOWN),
    ends_with(grpc.StatusCode.RESOURCE_EXHAUSTED, "FOLLOWER_STALLED"),
    ends_with(grpc.StatusCode.UNAVAILABLE, "STORAGE_UNAVAILABLE"),
    ends,
]


class FollowerDriver(ABC):
    """Drives a follower, sync or async, from an async test; each wait has a deadline."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.follower: Any = None
        self.notices: list[Any] = []
        self.lost = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def _note(self, notice: Any) -> None:
        self.notices.append(notice)
        if isinstance(notice, Disconnected):
            self._loop.call_soon_threadsafe(self.lost.set)

    async def follow(self, method: str = "follow", **following: Any) -> FollowerDriver:
        """Make a follower whose notices are kept."""
        settings = {"backoff": SOON, "notify": self._note, **following}
        self.follower = getattr(self._client, method)(**settings)
        return self

    async def take(self, count: int) -> list[int]:
        """The sequences of the next items."""
        return [(await within(self.next())).sequence for _ in range(count)]

    async def enter(self) -> None:
        """Enter its context."""
        await within(self._do("enter"))

    async def next(self) -> Any:
        """The next item, without a deadline."""
        return await self._do("next")

    async def close(self) -> None:
        """End it."""
        await within(self._do("close"))

    async def is_over(self) -> bool:
        """Return whether it has no further items."""
        ends: list[Any] = [item async for item in self._rest()]
        return ends == []

    async def _rest(self) -> AsyncIterator[Any]:
        while (item := await within(self._next_or_end())) is not _END:
            yield item

    @abstractmethod
    async def _next_or_end(self) -> Any: ...

    @abstractmethod
    async def _do(self, what: str) -> Any: ...


_END = object()


class AsyncDriver(FollowerDriver):
    """Drives the async follower."""

    async def _do(self, what: str) -> Any:
        names = {"enter": "__aenter__", "next": "__anext__"}
        return await getattr(self.follower, names.get(what, what))()

    async def _next_or_end(self) -> Any:
        return await anext(self.follower, _END)


class SyncDriver(FollowerDriver):
    """Drives the sync follower, in threads."""

    async def _do(self, what: str) -> Any:
        names = {"enter": "__enter__", "next": "__next__"}
        return await asyncio.to_thread(getattr(self.follower, names.get(what, what)))

    async def _next_or_end(self) -> Any:
        return await asyncio.to_thread(next, self.follower, _END)


@asynccontextmanager
async def driver_of(kind: str, address: str) -> AsyncIterator[FollowerDriver]:
    """Yield a driver of a follower of the service at `address`."""
    driver: FollowerDriver
    if kind == "async":
        async with tradingsignals.connect(address) as client:
            driver = AsyncDriver(client)
            yield driver
            await driver.close()
    else:
        with tradingsignals.connect_sync(address) as sync_client:
            driver = SyncDriver(sync_client)
            yield driver
            await driver.close()


@pytest.fixture(params=["async", "sync"])
def kind(request: pytest.FixtureRequest) -> str:
    """Both followers in turn."""
    found: str = request.param
    return found


@pytest.fixture
async def log() -> AsyncIterator[LogServer]:
    log = LogServer(newest=10)
    async with log.running():
        yield log


@pytest.fixture
async def driver(kind: str, log: LogServer) -> AsyncIterator[FollowerDriver]:
    async with driver_of(kind, log.address) as driver:
        yield driver


class TestExactlyOnce:
    async def test_items_arrive_once_through_each_kind_of_failure(self, driver: FollowerDriver, log: LogServer) -> None:
        log.newest = 40
        log.plans = [Plan(ending, entries=4) for ending in BREAKS]
        await driver.follow(resume_after=0)
        assert await driver.take(40) == list(range(1, 41))
        assert log.resumed_after == list(range(0, 33, 4))
        lost = [notice for notice in driver.notices if isinstance(notice, Disconnected)]
        assert [notice.attempt for notice in lost] == [1] * len(BREAKS)
        assert driver.notices[0] == Connected(0, "first")
        assert driver.notices[-1] == Connected(32, "first")

    async def test_items_arrive_once_after_repeated_refusals(self, driver: FollowerDriver, log: LogServer) -> None:
        log.plans = [Plan(GONE, entries=5), *(Plan(ending, refused=True) for ending in BREAKS[:-1])]
        await driver.follow(resume_after=0)
        assert await driver.take(10) == list(range(1, 11))
        assert log.resumed_after == [0, *[5] * len(BREAKS)]
        attempts = [notice.attempt for notice in driver.notices if isinstance(notice, Disconnected)]
        assert attempts == list(range(1, len(BREAKS) + 1))

    @pytest.mark.parametrize("seed", range(6))
    async def test_items_arrive_once_through_random_failures(
        self, driver: FollowerDriver, log: LogServer, seed: int
    ) -> None:
        choice = random.Random(seed)
        log.newest, log.page = 300, choice.randrange(1, 9)
        log.plans = [
            Plan(choice.choice(BREAKS), entries=choice.randrange(20), refused=choice.random() < 0.2) for _ in range(25)
        ]
        await driver.follow(resume_after=0)
        assert await driver.take(300) == list(range(1, 301))

    async def test_follower_without_a_sequence_begins_at_the_first_connection(
        self, driver: FollowerDriver, log: LogServer
    ) -> None:
        log.plans = [Plan(GONE)]
        await driver.follow()
        assert (driver.follower.sequence, driver.follower.epoch) == (None, None)
        await driver.enter()
        assert (driver.follower.sequence, driver.follower.epoch) == (10, "first")
        log.append(2)
        assert await driver.take(2) == [11, 12]
        assert log.resumed_after == [10, 10]

    async def test_stored_sequence_and_epoch_resume_the_follower(self, driver: FollowerDriver, log: LogServer) -> None:
        await driver.follow(resume_after=0)
        assert await driver.take(5) == [1, 2, 3, 4, 5]
        bookmark = {"resume_after": driver.follower.sequence, "epoch": driver.follower.epoch}
        assert bookmark == {"resume_after": 5, "epoch": "first"}
        await driver.close()
        assert await driver.is_over()
        await driver.follow(**bookmark)
        assert await driver.take(5) == [6, 7, 8, 9, 10]


class TestRequests:
    @pytest.mark.parametrize(
        ("method", "filters", "request_of"),
        [
            ("follow", {"symbols": ["A"], "kinds": ["SIGNAL"], "min_confidence": 0.5}, StreamEventsRequest),
            ("follow_signals", {"symbols": ["A"], "actions": ["BUY"], "min_confidence": 0.5}, StreamSignalsRequest),
            ("follow_positions", {"symbols": ["A", "B"]}, StreamPositionsRequest),
        ],
    )
    async def test_each_stream_has_the_filters_of_the_follower(
        self, driver: FollowerDriver, log: LogServer, method: str, filters: dict[str, Any], request_of: Any
    ) -> None:
        log.plans = [Plan(GONE, entries=4)]
        await driver.follow(
            method, resume_after=0, heartbeat_seconds=7, **{**filters, "symbols": iter(filters["symbols"])}
        )
        assert await driver.take(10) == list(range(1, 11))
        numbers = {"kinds": [Event.SIGNAL], "actions": [Signal.BUY]}
        expected = {name: numbers.get(name, value) for name, value in filters.items()}
        assert log.requests == [request_of(**expected, resume_after=n, heartbeat_seconds=7) for n in (0, 4)]


class TestPermanentErrors:
    @pytest.mark.parametrize(
        ("code", "error"),
        [
            (grpc.StatusCode.INVALID_ARGUMENT, tradingsignals.InvalidRequest),
            (grpc.StatusCode.UNAUTHENTICATED, tradingsignals.AccessDenied),
            (grpc.StatusCode.PERMISSION_DENIED, tradingsignals.AccessDenied),
            (grpc.StatusCode.UNIMPLEMENTED, tradingsignals.InternalError),
        ],
    )
    async def test_permanent_error_is_raised_at_once(
        self, driver: FollowerDriver, log: LogServer, code: grpc.StatusCode, error: type[Exception]
    ) -> None:
        log.plans = [Plan(ends_with(code, "SOME_REASON"), refused=True)]
        await driver.follow(resume_after=0)
        with pytest.raises(error):
            await within(driver.next())
        assert await driver.is_over()
        assert len(log.requests) == 1

    async def test_unavailable_service_is_raised_after_the_time_limit(self, kind: str) -> None:
        async with driver_of(kind, f"127.0.0.1:{free_ports(1)[0]}") as driver:
            await driver.follow(backoff=Backoff(0.001, 0.01, give_up_seconds=0.1))
            with pytest.raises(tradingsignals.Unavailable):
                await driver.enter()
            assert await driver.is_over()

    async def test_exception_of_notify_is_raised(self, driver: FollowerDriver) -> None:
        def refuse(_: object) -> None:
            raise LookupError("enough")

        await driver.follow(resume_after=0, notify=refuse)
        with pytest.raises(LookupError):
            await within(driver.next())
        assert await driver.is_over()


class TestNewEpoch:
    async def replaced(self, driver: FollowerDriver, log: LogServer, newest: int, **following: Any) -> None:
        """Follow up to 5, whereupon the log is replaced by one with `newest` entries."""

        async def replace(_: Any) -> None:
            log.epoch, log.newest = "second", newest
            await GONE(_)

        log.plans = [Plan(replace, entries=5)]
        await driver.follow(resume_after=0, **following)
        assert await driver.take(5) == [1, 2, 3, 4, 5]

    @pytest.mark.parametrize("newest", [3, 5, 8])
    async def test_new_epoch_is_raised_by_default(self, driver: FollowerDriver, log: LogServer, newest: int) -> None:
        await self.replaced(driver, log, newest)
        with pytest.raises(EpochChanged) as raised:
            await within(driver.next())
        assert (raised.value.sequence, raised.value.old_epoch, raised.value.epoch) == (5, "first", "second")
        assert await driver.is_over()

    @pytest.mark.parametrize("newest", [3, 5, 8])
    async def test_start_over_follows_the_new_epoch_from_its_beginning(
        self, driver: FollowerDriver, log: LogServer, newest: int
    ) -> None:
        await self.replaced(driver, log, newest, on_new_epoch="start_over")
        assert await driver.take(newest) == list(range(1, newest + 1))
        assert (driver.follower.sequence, driver.follower.epoch) == (newest, "second")
        assert driver.notices[-2:] == [tradingsignals.StartedOver("first", "second", 5), Connected(0, "second")]
        assert log.resumed_after == [0, 5, 0]

    async def test_stored_epoch_detects_a_new_one(self, driver: FollowerDriver) -> None:
        await driver.follow(resume_after=5, epoch="of-long-ago")
        with pytest.raises(EpochChanged):
            await driver.enter()


class TestPrunedEvents:
    async def test_pruning_is_raised_by_default(self, driver: FollowerDriver, log: LogServer) -> None:
        log.oldest = 8
        await driver.follow(resume_after=3)
        with pytest.raises(EventsPruned) as raised:
            await within(driver.next())
        assert (raised.value.sequence, raised.value.oldest_sequence) == (3, 8)
        assert await driver.is_over()

    async def test_skip_continues_with_the_oldest_kept_item(self, driver: FollowerDriver, log: LogServer) -> None:
        log.oldest = 8
        await driver.follow(resume_after=3, on_pruned="skip")
        assert await driver.take(3) == [8, 9, 10]
        assert driver.notices == [Skipped(3, 8), Connected(7, "first")]

    async def test_skip_continues_during_a_stream(self, driver: FollowerDriver, log: LogServer) -> None:
        pruned = ends_with(grpc.StatusCode.OUT_OF_RANGE, "SEQUENCE_PRUNED", oldest_sequence="8")
        log.plans = [Plan(pruned, entries=4)]
        await driver.follow(resume_after=0, on_pruned="skip")
        assert await driver.take(7) == [1, 2, 3, 4, 8, 9, 10]


class TestClose:
    """Closing from another task or thread ends the pending wait at once."""

    @asynccontextmanager
    async def waiting(self, driver: FollowerDriver, until: Callable[[], Awaitable[object]]) -> AsyncIterator[None]:
        waiting = asyncio.create_task(driver.is_over())
        await within(until())
        yield
        assert await within(waiting)

    async def test_close_ends_a_pending_read(self, driver: FollowerDriver, log: LogServer) -> None:
        await driver.follow(resume_after=10)
        async with self.waiting(driver, log.caught_up.wait):
            await driver.close()

    async def test_close_ends_a_pending_subscription(self, driver: FollowerDriver, log: LogServer) -> None:
        subscribed = asyncio.Event()

        async def hold(_: Any) -> None:
            subscribed.set()
            await is_silent(_)

        log.plans = [Plan(hold, refused=True)]
        await driver.follow(resume_after=0)
        async with self.waiting(driver, subscribed.wait):
            await driver.close()

    async def test_close_ends_the_pause_before_the_next_attempt(self, driver: FollowerDriver, log: LogServer) -> None:
        log.plans = [Plan(GONE, refused=True)]
        await driver.follow(resume_after=0, backoff=NEVER)
        async with self.waiting(driver, driver.lost.wait):
            await driver.close()

    async def test_close_before_the_first_item_sends_no_request(self, driver: FollowerDriver, log: LogServer) -> None:
        await driver.follow(resume_after=0)
        await driver.close()
        assert await driver.is_over()
        assert log.requests == []


async def test_cancelled_wait_loses_no_item(log: LogServer) -> None:
    async with tradingsignals.connect(log.address) as client:
        async with client.follow(resume_after=0, backoff=SOON) as follower:
            found = [(await within(anext(follower))).sequence for _ in range(10)]
            with pytest.raises(TimeoutError):
                await within(anext(follower), seconds=0.01)
            log.append(2)
            found += [(await within(anext(follower))).sequence for _ in range(2)]
        assert found == list(range(1, 13))
        assert await anext(follower, None) is None


async def test_entering_waits_until_there_is_a_service(kind: str) -> None:
    log = LogServer(newest=3, port=free_ports(1)[0])
    async with driver_of(kind, log.address) as driver:
        await driver.follow()
        entering = asyncio.create_task(driver.enter())
        await within(driver.lost.wait())
        async with log.running():
            await within(entering)
            assert driver.follower.sequence == 3


async def test_silent_connection_is_replaced(kind: str, log: LogServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tradingsignals.resume.SILENT_HEARTBEATS", 0.5)
    async with frozen_proxy(log.port) as proxy, driver_of(kind, f"127.0.0.1:{proxy.port}") as driver:
        await driver.follow(resume_after=0, heartbeat_seconds=1)
        assert await driver.take(10) == list(range(1, 11))
        proxy.freeze()
        log.append(3)
        assert await driver.take(3) == [11, 12, 13]
        lost = [str(notice.error) for notice in driver.notices if isinstance(notice, Disconnected)]
        # On a busy machine the connection may have been silent for so long before it was frozen, too.
        assert set(lost) == {"UNAVAILABLE: no response for 0.5 seconds"}
        assert proxy.connections == 1 + len(lost)
