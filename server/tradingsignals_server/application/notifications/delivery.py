"""Delivers the log to one endpoint: an entry after the other, each until it is taken or the endpoint is disabled."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from ...domain.errors import SequencePruned, SequenceUnknown, ServiceError, ShuttingDown, StorageUnavailable
from ...domain.notifications import DISABLE_AFTER, Delivery, DeliveryProgress, Endpoint, EndpointState, after_attempt
from ...domain.signals import reached_from
from ...domain.values import changed, dataclass
from ...domain.wording import counted
from ..event_log.filter import Filter
from ..event_log.follower import Follower, Followers, StreamRequest
from ..event_log.group import Encoding
from ..event_log.tail import LogTail
from ..ports.clock import Clock, Sleep
from ..ports.notifications import EndpointStore, NotificationObserver, Sender
from .messages import entry_message

HEARTBEAT_SECONDS: Final = 10.0
"""After so long without an entry that passes, the cursor is committed, so that a restart need not pass them anew."""

RETRY_SECONDS: Final = 2.0
"""Between two attempts to reach the database."""

ENTRIES_A_TURN: Final = 256
"""Entries that are filtered before other tasks have their turn: less than a millisecond."""

log = logging.getLogger(__name__)


class EndpointMoved(Exception):
    """The endpoint is another one in the database: changed by a caller, or moved by another server."""


@dataclass(frozen=True, slots=True)
class Delivering:
    """What all deliveries share.

    followers: of the log, one entry a response. encoding: of the bodies. chance: random, 0..1. sleep: pauses.
    """

    store: EndpointStore
    sender: Sender
    log_tail: LogTail
    followers: Followers
    encoding: Encoding
    clock: Clock
    chance: Callable[[], float]
    sleep: Sleep = asyncio.sleep
    observer: NotificationObserver | None = None


@dataclass(slots=True)
class _Budget:
    left: int


class EndpointDelivery:
    """The delivery to one endpoint, which it keeps as it is in the database."""

    def __init__(self, endpoint: Endpoint, shared: Delivering) -> None:
        self.endpoint = endpoint
        self._shared = shared
        self._grown = asyncio.Event()

    async def run(self) -> None:
        """Deliver until the endpoint is disabled or changed, or the server stops."""
        unsubscribe = self._shared.log_tail.subscribe(self._grown.set)
        try:
            follower: Follower | None = None
            while self.endpoint.progress.state is EndpointState.ACTIVE:
                follower = await self._step(follower or await self._opened())
        except (EndpointMoved, ShuttingDown):
            pass
        finally:
            unsubscribe()

    async def _step(self, follower: Follower) -> Follower | None:
        """Deliver the next entry, or wait for what the follower waits for; None if that has ended."""
        self._grown.clear()
        body = follower.next(_now(), _Budget(ENTRIES_A_TURN))
        if body:
            await self._deliver(body, follower.cursor)
        elif body is not None:
            await self._pass(follower.cursor)
        elif follower.awaits == "page":
            await follower.read()
        elif follower.awaits == "turn":
            await asyncio.sleep(0)
        elif follower.awaits == "entries":
            await self._until_grown(follower.due_at)
        else:
            await self._recover(None if follower.end is None else follower.end.error)
            return None
        return follower

    async def _until_grown(self, due_at: float) -> None:
        try:
            async with asyncio.timeout_at(due_at):
                await self._grown.wait()
        except TimeoutError:
            pass

    # ------------------------------------------------------------------------------------------------- the follower

    async def _opened(self) -> Follower:
        known = self.endpoint.filter
        least = None if known.min_confidence is None else reached_from(known.min_confidence)
        filter_ = Filter(known.kinds, known.symbols, least)
        while True:
            request = StreamRequest(filter_, self.endpoint.progress.cursor, HEARTBEAT_SECONDS)
            try:
                return await self._shared.followers.open(request, self._shared.encoding)
            except ServiceError as error:
                await self._recover(error)

    async def _recover(self, error: ServiceError | None) -> None:
        """Do what has to be done before the log can be followed again.

        Raises:
            EndpointMoved: the endpoint is another one meanwhile.
            ServiceError: nothing helps, such as when the server stops.
        """
        progress, name = self.endpoint.progress, self.endpoint.name
        match error:
            case SequencePruned():
                cursor = int(error.metadata["oldest_sequence"]) - 1
                lost = cursor - progress.cursor
                log.warning("the endpoint %s was too far behind: %d entries are no longer kept", name, lost)
                await self._record(changed(progress, cursor=cursor, lost=progress.lost + lost))
            case SequenceUnknown():
                cursor = int(error.metadata["newest_sequence"])
                log.warning("the endpoint %s was at an entry that the log does not have; it goes on at its end", name)
                await self._record(changed(progress, cursor=cursor))
            case StorageUnavailable():
                await self._shared.sleep(RETRY_SECONDS)
            case _:
                raise error or ShuttingDown(progress.cursor)

    # --------------------------------------------------------------------------------------------------- one message

    async def _deliver(self, body: bytes, sequence: int) -> None:
        """Try until the entry is delivered, or the endpoint disabled."""
        shared = self._shared
        message = entry_message(shared.log_tail.epoch, sequence, body)
        while self.endpoint.progress.state is EndpointState.ACTIVE and self.endpoint.progress.cursor < sequence:
            before = self.endpoint.progress
            if before.next_attempt_at is not None:
                await shared.sleep(max(0.0, (before.next_attempt_at - shared.clock()).total_seconds()))
            attempt = await shared.sender.send(self.endpoint, message)
            ended = shared.clock()
            after = after_attempt(before, sequence, attempt, ended, shared.chance())
            await self._record(after, Delivery(sequence, before.failed_attempts + 1, attempt))
            self._report(before, attempt.error)
            if shared.observer is not None:
                shared.observer.attempted(self.endpoint.kind, attempt, (ended - message.time).total_seconds())

    async def _pass(self, cursor: int) -> None:
        """Commit that the entries up to a sequence do not pass the filter, or are delivered."""
        if cursor > self.endpoint.progress.cursor:
            await self._record(changed(self.endpoint.progress, cursor=cursor))

    async def _record(self, progress: DeliveryProgress, delivery: Delivery | None = None) -> None:
        """Commit the progress, however long the database is away.

        Raises:
            EndpointMoved: the endpoint is another one meanwhile. So it is, too, if this progress has been committed
                and the response was lost.
        """
        while True:
            try:
                is_stored = await self._shared.store.record(self.endpoint, progress, delivery)
            except StorageUnavailable:
                await self._shared.sleep(RETRY_SECONDS)
                continue
            if not is_stored:
                raise EndpointMoved
            self.endpoint = changed(self.endpoint, progress=progress)
            return

    def _report(self, before: DeliveryProgress, error: str) -> None:
        """Log when an endpoint begins to fail, is disabled, and is well again."""
        name, after = self.endpoint.name, self.endpoint.progress
        if after.state is EndpointState.DISABLED:
            log.error("the endpoint %s is disabled: %s", name, after.disabled_reason)
        elif error and not before.failed_attempts:
            days = DISABLE_AFTER.days
            log.warning("the endpoint %s cannot be delivered to: %s; it is tried for %d days", name, error, days)
        elif before.failed_attempts and not error:
            failures = counted(before.failed_attempts, "failure")
            log.info("the endpoint %s is delivered to again, after %s", name, failures)


def _now() -> float:
    return asyncio.get_running_loop().time()
