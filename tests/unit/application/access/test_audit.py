"""The audit log is written beside the calls: merged, bounded, and kept while the database is away."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from tests.support.deadlines import within
from tests.support.memory_keys import NOW

from tradingsignals_server.application.access import audit as module
from tradingsignals_server.application.access.audit import AuditLog
from tradingsignals_server.application.ports.audit import AuditPage, AuditQuery
from tradingsignals_server.domain.access import Caller, Credential, Role
from tradingsignals_server.domain.audit import AuditEntry
from tradingsignals_server.domain.errors import InvalidPageToken, StorageUnavailable

DESK = Caller(Credential.KEY, "desk", "the desk", Role.TRADER, "192.0.2.1")


class MemoryAudit:
    """Implements application.ports.audit.AuditStore."""

    def __init__(self) -> None:
        self.entries: list[AuditEntry] = []
        self.is_away = False
        self.appended = asyncio.Event()
        self.old = 0

    async def append_entries(self, entries: Sequence[AuditEntry]) -> None:
        """See AuditStore."""
        if self.is_away:
            raise StorageUnavailable
        self.entries.extend(entries)
        self.appended.set()

    async def list_entries(self, query: AuditQuery, before: int | None, limit: int) -> AuditPage:
        """See AuditStore."""
        end = len(self.entries) if before is None else before
        start = max(end - limit, 0)
        return AuditPage(self.entries[start:end][::-1], start or None)

    async def delete_entries(self, before: datetime, limit: int) -> int:
        """See AuditStore."""
        deleted, self.old = min(self.old, limit), max(self.old - limit, 0)
        return deleted


def entry(caller: Caller = DESK, method: str = "a.B/C", result: str = "OK", **fields: str) -> AuditEntry:
    return replace(AuditEntry(NOW, caller, method, result), **fields)  # type: ignore[arg-type]  # texts only


def log_on(store: MemoryAudit, keep: timedelta = timedelta(0)) -> AuditLog:
    return AuditLog(store, lambda: NOW, keep)


async def test_each_call_is_an_entry_and_merged_ones_are_counted() -> None:
    store = MemoryAudit()
    log = log_on(store)
    log.record(entry(request="{}", request_id="1"))
    log.record(entry(request="{}", request_id="2"))
    for number in range(3):
        log.record(entry(method="a.B/Publish", request=str(number), request_id=str(number)), merge=True)
    log.record(entry(method="a.B/Publish", result="INVALID_ARGUMENT", request="x"), merge=True)
    assert await log.write()
    assert [(each.method, each.result, each.count, each.request, each.request_id) for each in store.entries] == [
        ("a.B/C", "OK", 1, "{}", "1"),
        ("a.B/C", "OK", 1, "{}", "2"),
        ("a.B/Publish", "OK", 3, "", ""),
        ("a.B/Publish", "INVALID_ARGUMENT", 1, "x", ""),
    ]


async def test_flood_of_strangers_is_bounded() -> None:
    store = MemoryAudit()
    log = log_on(store)
    for number in range(3 * module.MAX_STRANGERS):
        for method in ("a.B/C", "a.B/D"):
            log.record(entry(Caller(address=f"a{number}"), method, "UNAUTHENTICATED"), merge=True)
    await log.write()
    assert len(store.entries) == module.MAX_STRANGERS + 1
    assert sum(each.count for each in store.entries) == 6 * module.MAX_STRANGERS
    assert {each.method for each in store.entries} == {""}
    assert [each.count for each in store.entries if not each.caller.address] == [4 * module.MAX_STRANGERS]


async def test_entries_wait_for_the_database_and_what_is_too_much_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_PENDING", 3)
    store = MemoryAudit()
    log = log_on(store)
    store.is_away = True
    for number in range(5):
        log.record(entry(request_id=str(number)))
    assert not await log.write()
    log.record(entry(request_id="5"))
    assert not await log.write()
    store.is_away = False
    assert await log.write()
    assert [(each.request_id, each.result, each.count) for each in store.entries] == [
        ("0", "OK", 1),
        ("1", "OK", 1),
        ("2", "OK", 1),
        ("", module.DROPPED, 3),
    ]


async def test_entries_are_written_soon_and_the_last_ones_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WRITE_INTERVAL_S", 0.0)
    store = MemoryAudit()
    log = log_on(store)
    running = asyncio.create_task(log.run())
    log.record(entry(request_id="1"))
    await within(store.appended.wait())
    log.record(entry(request_id="2"))
    running.cancel()
    await asyncio.wait([running])
    assert [each.request_id for each in store.entries] == ["1", "2"]


async def test_old_entries_are_deleted_in_batches() -> None:
    store = MemoryAudit()
    store.old = 5 * module.DELETE_ENTRIES + 1
    slept = asyncio.Event()

    async def sleep(seconds: float) -> None:
        if seconds == module.DELETE_INTERVAL_S:
            slept.set()
            await asyncio.Event().wait()

    running = asyncio.create_task(AuditLog(store, lambda: NOW, timedelta(days=30), sleep).run())
    await within(slept.wait())
    assert store.old == 0
    running.cancel()
    await asyncio.wait([running])


async def test_pages_belong_to_their_query() -> None:
    store = MemoryAudit()
    store.entries = [entry(request_id=str(number)) for number in range(5)]
    log = log_on(store)
    found, token = [], ""
    while True:
        page, token = await log.entries(AuditQuery(), token, 2)
        found += [each.request_id for each in page.entries]
        if not token:
            break
    assert found == ["4", "3", "2", "1", "0"]
    _, token = await log.entries(AuditQuery(), "", 2)
    with pytest.raises(InvalidPageToken):
        await log.entries(AuditQuery(caller_id="desk"), token, 2)
