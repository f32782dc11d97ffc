"""A service that has to be whole after whatever was sent to it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from .deadlines import DEADLINE, poll, within
from .processes import Process
from .service import RunningService

_CHILDREN = ("envoy", "postgres")


@asynccontextmanager
async def unharmed(service: RunningService, api_key: str | None = None) -> AsyncIterator[None]:
    """Check after the block that nothing crashed, nothing failed, and nothing was lost; `api_key` is for AUTH=on.

    The service is healthy in the same processes, its log has no error, and the event log has no gap, neither in the
    database nor for a follower that was there all the time.
    """
    before = _processes(service)
    async with service.client(api_key) as client, service.rest() as rest:
        followed: list[int] = []
        stream = client.stream_events(resume_after=0, heartbeat_seconds=1)

        async def follow() -> None:
            async for event in stream:
                assert event.sequence == len(followed) + 1
                followed.append(event.sequence)

        follower = asyncio.create_task(follow())
        try:
            yield
            report = (await rest.get("/health", timeout=DEADLINE)).raise_for_status().json()
            assert report["database_connected"], report
            assert report["status"] in {"healthy", "degraded"}, report  # degraded: there is no model
            stored = await _stored(service)
            assert stored == list(range(1, len(stored) + 1))
            await within(_reaches(followed, follower, len(stored)))
        finally:
            follower.cancel()
            await asyncio.wait([follower])
    assert _processes(service) == before
    assert errors_of(service) == []


def errors_of(service: RunningService) -> list[str]:
    """Return the lines of the log that report a defect or a failure."""
    lines = [line for line in service.log.splitlines() if line.startswith("{")]
    return [line for line in lines if json.loads(line)["level"] in {"ERROR", "CRITICAL"}]


def _processes(service: RunningService) -> list[Process]:
    return [service.child(name) for name in _CHILDREN]


async def _stored(service: RunningService) -> list[int]:
    async with service.database() as database:
        # In one statement: outcomes may be appended between two.
        (log,) = await database.fetch(
            "SELECT last_sequence, ARRAY(SELECT sequence FROM events ORDER BY sequence) AS sequences FROM event_log"
        )
    assert len(log["sequences"]) == log["last_sequence"]
    return list(log["sequences"])


async def _reaches(followed: list[int], follower: asyncio.Task[None], count: int) -> None:
    while len(followed) < count:
        assert not follower.done(), follower
        await poll()
