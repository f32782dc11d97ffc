"""Followers of a log as async iterators of batches, for tests without a transport."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Self

from tradingsignals_server.application.event_log.filter import Filter
from tradingsignals_server.application.event_log.follower import Follower, Followers, StreamRequest
from tradingsignals_server.application.event_log.group import ResponseLimits
from tradingsignals_server.application.event_log.replay import Replay
from tradingsignals_server.application.event_log.tail import LogTail
from tradingsignals_server.application.ports.event_log import LogEntry
from tradingsignals_server.domain.errors import ServiceError
from tradingsignals_server.transport.methods import Budget

NO_HEARTBEAT = 3600.0
"""Seconds to a heartbeat that no test waits for."""


@dataclass(frozen=True)
class Batch:
    """A response: its entries, and the sequence that it is complete through. Without entries it is a heartbeat."""

    entries: tuple[LogEntry, ...]
    through_sequence: int


class PickledEncoding:
    """Implements Encoding: responses that a test reads back as they were given."""

    effort = 1

    def __init__(self, *, begins_with_heartbeat: bool = False) -> None:
        self.begins_with_heartbeat = begins_with_heartbeat

    def entries(self, entries: Sequence[LogEntry], through_sequence: int) -> bytes:
        """See Encoding."""
        return pickle.dumps(Batch(tuple(entries), through_sequence))

    def heartbeat(self, through_sequence: int) -> bytes:
        """See Encoding."""
        return pickle.dumps(Batch((), through_sequence))

    def end(self, through_sequence: int, error: ServiceError) -> bytes:
        """See Encoding."""
        return pickle.dumps((through_sequence, error.reason))


PICKLED = PickledEncoding()


def batch_of(response: bytes) -> Batch:
    """Read a response back."""
    batch = pickle.loads(response)  # noqa: S301 - of our own making
    assert isinstance(batch, Batch)
    return batch


class Batches(AsyncIterator[Batch]):
    """The responses of a follower as they come; raises the error that it ends with."""

    def __init__(self, log_tail: LogTail, follower: Follower) -> None:
        self._follower = follower
        self._changed = asyncio.Event()
        log_tail.subscribe(self._changed.set)

    @property
    def cursor(self) -> int:
        """The cursor of the follower."""
        return self._follower.cursor

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Batch:
        loop, follower = asyncio.get_running_loop(), self._follower
        while True:
            self._changed.clear()
            response = follower.next(loop.time(), Budget())
            if response is not None:
                return batch_of(response)
            if follower.end is not None:
                if follower.end.error is None:
                    raise StopAsyncIteration
                raise follower.end.error
            if follower.awaits == "page":
                await follower.read()
            elif follower.awaits == "turn":
                await asyncio.sleep(0)
            else:
                await self._wait_until(follower.due_at)

    async def _wait_until(self, time: float) -> None:
        try:
            async with asyncio.timeout_at(time):
                await self._changed.wait()
        except TimeoutError:
            pass


async def follow(
    log_tail: LogTail,
    filter_: Filter | None = None,
    resume_after: int | None = None,
    heartbeat_seconds: float = NO_HEARTBEAT,
    replay: Replay | None = None,
    limits: ResponseLimits | None = None,
) -> Batches:
    """Open a follower of a log; see Followers.open."""
    request = StreamRequest(filter_ or Filter(), resume_after, heartbeat_seconds, replay)
    return Batches(log_tail, await Followers(log_tail, limits=limits).open(request, PICKLED))
