"""The audit log in PostgreSQL. See application.ports.audit."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import asyncpg

from ...application.ports.audit import AuditPage, AuditQuery
from ...domain.access import Caller, Credential, Role
from ...domain.audit import AuditEntry
from .connection import Connections

_TYPES = {"time": "timestamptz", "count": "int4", "replayed": "bool"}
_COLUMNS = (
    *("time", "credential", "caller_id", "caller_name", "role", "address"),
    *("method", "request", "result", "reason", "count", "request_id", "replayed"),
)
_APPEND = f"""
INSERT INTO audit ({", ".join(_COLUMNS)})
SELECT * FROM unnest({", ".join(f"${n}::{_TYPES.get(name, 'text')}[]" for n, name in enumerate(_COLUMNS, 1))})
"""
_LIST = f"""
SELECT entry_id, {", ".join(_COLUMNS)} FROM audit
WHERE ($1::text IS NULL OR caller_id = $1)
    AND ($2::text IS NULL OR split_part(method, '/', 2) = $2)
    AND ($3::bool IS NULL OR (result <> 'OK') = $3)
    AND ($4::timestamptz IS NULL OR time >= $4) AND ($5::timestamptz IS NULL OR time < $5)
    AND ($6::int8 IS NULL OR entry_id < $6)
ORDER BY entry_id DESC LIMIT $7
"""
_DELETE = """
DELETE FROM audit WHERE entry_id IN (
    SELECT entry_id FROM audit WHERE time < least($1, now() - interval '30 days 1 minute') ORDER BY entry_id LIMIT $2
)
"""


class PostgresAudit:
    """Implements application.ports.audit.AuditStore."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def append_entries(self, entries: Sequence[AuditEntry]) -> None:
        """See AuditStore."""
        rows = [_row_of(entry) for entry in entries]
        async with self._connections.for_engine() as database:
            await database.execute(_APPEND, *map(list, zip(*rows, strict=True)))

    async def list_entries(self, query: AuditQuery, before: int | None, limit: int) -> AuditPage:
        """See AuditStore."""
        values = (query.caller_id, query.method, query.refused, query.start, query.end, before, limit + 1)
        async with self._connections.for_read() as database:
            rows = await database.fetch(_LIST, *values)
        entries = [_entry_of(row) for row in rows[:limit]]
        return AuditPage(entries, entries[-1].entry_id if len(rows) > limit else None)

    async def delete_entries(self, before: datetime, limit: int) -> int:
        """See AuditStore."""
        async with self._connections.for_engine() as database:
            tag = await database.execute(_DELETE, before, limit)
        return int(tag.rpartition(" ")[2])


def _row_of(entry: AuditEntry) -> tuple[object, ...]:
    caller = entry.caller
    texts = (caller.credential, caller.id, caller.name, caller.role or "", caller.address)
    called = (entry.method, entry.request, entry.result, entry.reason)
    # PostgreSQL has no zero byte in a text.
    counted = (entry.count, _storable(entry.request_id), entry.replayed)
    return (entry.time, *map(_storable, texts), *map(_storable, called), *counted)


def _storable(text: str) -> str:
    return str(text).replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()


def _entry_of(row: asyncpg.Record) -> AuditEntry:
    return AuditEntry(
        time=row["time"],
        caller=Caller(
            Credential(row["credential"]),
            row["caller_id"],
            row["caller_name"],
            Role(row["role"]) if row["role"] else None,
            row["address"],
        ),
        method=row["method"],
        result=row["result"],
        reason=row["reason"],
        request=row["request"],
        request_id=row["request_id"],
        count=row["count"],
        entry_id=row["entry_id"],
        replayed=row["replayed"],
    )
