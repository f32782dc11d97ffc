"""The audit log in PostgreSQL: entries are listed as they were appended, and never changed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from tradingsignals_server.adapters.postgres.audit import PostgresAudit
from tradingsignals_server.adapters.postgres.connection import Connections
from tradingsignals_server.application.ports.audit import AuditQuery
from tradingsignals_server.domain.access import Caller, Credential, Role
from tradingsignals_server.domain.audit import AuditEntry

NOW = datetime.now(UTC)
DESK = Caller(Credential.KEY, "desk", "the desk", Role.TRADER, "192.0.2.1")
STRANGER = Caller(address="2001:db8::1")
ENTRIES = [
    AuditEntry(NOW - timedelta(days=40), DESK, "a.B/Close", "OK", request='{"a": 1}', request_id="1", replayed=True),
    AuditEntry(NOW - timedelta(days=20), DESK, "a.B/Halt", "PERMISSION_DENIED", "ROLE_NOT_ALLOWED", count=3),
    AuditEntry(NOW, STRANGER, "", "UNAUTHENTICATED", "UNAUTHENTICATED", request="\0'; DROP TABLE audit; --\ud800"),
]


@pytest.fixture
async def audit(pool: Connections) -> PostgresAudit:
    audit = PostgresAudit(pool)
    await audit.append_entries(ENTRIES)
    return audit


async def test_entries_are_listed_as_they_were_appended_the_newest_first(audit: PostgresAudit) -> None:
    page = await audit.list_entries(AuditQuery(), None, 10)
    listed = list(page.entries)[::-1]
    assert page.next_before is None
    assert [entry.entry_id for entry in listed] == sorted(entry.entry_id for entry in listed)
    assert [(e.caller, e.method, e.result, e.reason, e.count, e.request_id) for e in listed] == [
        (e.caller, e.method, e.result, e.reason, e.count, e.request_id) for e in ENTRIES
    ]
    assert listed[0].request == '{"a": 1}'
    assert listed[2].request == "\N{REPLACEMENT CHARACTER}'; DROP TABLE audit; --?"


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (AuditQuery(caller_id="desk"), [1, 0]),
        (AuditQuery(method="Close"), [0]),
        (AuditQuery(refused=True), [2, 1]),
        (AuditQuery(refused=False), [0]),
        (AuditQuery(start=NOW - timedelta(days=20)), [2, 1]),
        (AuditQuery(end=NOW - timedelta(days=20)), [0]),
        (AuditQuery(caller_id="' OR true --"), []),
    ],
)
async def test_query_selects_entries(audit: PostgresAudit, query: AuditQuery, found: list[int]) -> None:
    page = await audit.list_entries(query, None, 10)
    assert [entry.method for entry in page.entries] == [ENTRIES[index].method for index in found]


async def test_pages_follow_each_other(audit: PostgresAudit) -> None:
    first = await audit.list_entries(AuditQuery(), None, 2)
    second = await audit.list_entries(AuditQuery(), first.next_before, 2)
    assert [entry.method for entry in (*first.entries, *second.entries)] == ["", "a.B/Halt", "a.B/Close"]
    assert second.next_before is None


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET result = 'OK'",
        "DELETE FROM audit",
        "DELETE FROM audit WHERE method = 'a.B/Halt'",
        "TRUNCATE audit",
    ],
)
async def test_entries_are_never_changed(audit: PostgresAudit, sql: asyncpg.Connection, statement: str) -> None:
    with pytest.raises(asyncpg.RaiseError, match="never changed"):
        await sql.execute(statement)
    assert await sql.fetchval("SELECT count(*) FROM audit") == len(ENTRIES)


async def test_only_entries_older_than_thirty_days_are_deleted(audit: PostgresAudit) -> None:
    assert await audit.delete_entries(NOW, 10) == 1
    assert [entry.method for entry in (await audit.list_entries(AuditQuery(), None, 10)).entries] == ["", "a.B/Halt"]
