"""Endpoints of notifications in PostgreSQL. See application.ports.notifications."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from uuid import UUID

import asyncpg

from ...application.ports.notifications import EndpointChanges
from ...domain.events import EventKind
from ...domain.notification_errors import EndpointExists, TooManyEndpoints
from ...domain.notifications import (
    KEPT_DELIVERIES,
    MAX_ENDPOINTS,
    Attempt,
    Delivery,
    DeliveryProgress,
    Endpoint,
    EndpointKind,
    EndpointState,
    EntryFilter,
)
from .connection import Connections
from .listening import listen

CHANNEL = "tradingsignals_endpoints"

_PROGRESS = "cursor, lost, failed_attempts, failing_since, next_attempt_at, state, disabled_reason"
_COLUMNS = f"endpoint_id, name, kind, url, secret, kinds, symbols, min_confidence, created_at, revision, {_PROGRESS}"
_LOAD = f"SELECT {_COLUMNS} FROM notification_endpoints ORDER BY created_at DESC, endpoint_id"
_FIND = f"SELECT {_COLUMNS} FROM notification_endpoints WHERE endpoint_id = $1"
_LOCK = "LOCK TABLE notification_endpoints IN SHARE ROW EXCLUSIVE MODE"
"""Inserts take turns, so that their number is known; deliveries wait for a moment."""
_COUNT = "SELECT count(*) FROM notification_endpoints"
_ADD = f"""
INSERT INTO notification_endpoints ({_COLUMNS})
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
"""
_CHANGE = f"""
UPDATE notification_endpoints SET revision = revision + 1, url = coalesce($2, url),
    kinds = coalesce($3, kinds), symbols = coalesce($4, symbols),
    min_confidence = CASE WHEN $3::text[] IS NULL THEN min_confidence ELSE $5 END,
    state = coalesce($6, state), disabled_reason = CASE WHEN $6::text IS NULL THEN disabled_reason ELSE '' END,
    cursor = coalesce($7, cursor), failed_attempts = 0, failing_since = NULL, next_attempt_at = NULL
WHERE endpoint_id = $1 RETURNING {_COLUMNS}
"""
_DELETE = "DELETE FROM notification_endpoints WHERE endpoint_id = $1 RETURNING 1"
_RECORD = f"""
WITH moved AS (
    UPDATE notification_endpoints SET ({_PROGRESS}) = ($4, $5, $6, $7, $8, $9, $10),
        attempts = attempts + CASE WHEN $11::bigint IS NULL THEN 0 ELSE 1 END
    WHERE endpoint_id = $1 AND revision = $2 AND cursor = $3 AND state = 'ACTIVE' RETURNING attempts
),
added AS (
    INSERT INTO notification_deliveries (
        endpoint_id, number, sequence, attempt, time, http_status, error, latency_ms
    )
    SELECT $1, attempts, $11, $12, $13, $14, $15, $16 FROM moved WHERE $11 IS NOT NULL
),
pruned AS (
    DELETE FROM notification_deliveries USING moved
    WHERE endpoint_id = $1 AND number <= moved.attempts - {KEPT_DELIVERIES}
)
SELECT count(*) FROM moved
"""
_DELIVERIES = """
SELECT sequence, attempt, time, http_status, error, latency_ms FROM notification_deliveries
WHERE endpoint_id = $1 ORDER BY number DESC LIMIT $2
"""
_NO_ATTEMPT = (None, None, None, None, None, None)


class PostgresEndpoints:
    """Implements application.ports.notifications.EndpointStore."""

    def __init__(self, connections: Connections, dsn: str) -> None:
        self._connections = connections
        self._dsn = dsn

    async def load_endpoints(self) -> Sequence[Endpoint]:
        """See EndpointStore."""
        async with self._connections.for_engine() as database:
            return [_endpoint_of(row) for row in await database.fetch(_LOAD)]

    async def find_endpoint(self, endpoint_id: UUID) -> Endpoint | None:
        """See EndpointStore."""
        async with self._connections.for_read() as database:
            row = await database.fetchrow(_FIND, endpoint_id)
        return None if row is None else _endpoint_of(row)

    async def add_endpoint(self, endpoint: Endpoint) -> None:
        """See EndpointStore."""
        one = endpoint
        values = (one.id, one.name, one.kind, one.url, one.secret, *_filter_values(one.filter), one.created_at)
        async with self._connections.for_engine() as database, database.transaction():
            await database.execute(_LOCK)
            if await database.fetchval(_COUNT) >= MAX_ENDPOINTS:
                raise TooManyEndpoints(MAX_ENDPOINTS)
            try:
                await database.execute(_ADD, *values, one.revision, *_progress_values(one.progress))
            except asyncpg.UniqueViolationError:
                raise EndpointExists(one.name) from None

    async def change_endpoint(self, endpoint_id: UUID, changes: EndpointChanges) -> Endpoint | None:
        """See EndpointStore."""
        filter_ = (None, None, None) if changes.filter is None else _filter_values(changes.filter)
        async with self._connections.for_engine() as database:
            row = await database.fetchrow(_CHANGE, endpoint_id, changes.url, *filter_, changes.state, changes.cursor)
        return None if row is None else _endpoint_of(row)

    async def delete_endpoint(self, endpoint_id: UUID) -> bool:
        """See EndpointStore."""
        async with self._connections.for_engine() as database:
            return await database.fetchval(_DELETE, endpoint_id) is not None

    async def record(self, endpoint: Endpoint, progress: DeliveryProgress, delivery: Delivery | None) -> bool:
        """See EndpointStore."""
        place = (endpoint.id, endpoint.revision, endpoint.progress.cursor)
        values = _NO_ATTEMPT if delivery is None else _delivery_values(delivery)
        async with self._connections.for_engine() as database:
            moved: int = await database.fetchval(_RECORD, *place, *_progress_values(progress), *values)
        return moved == 1

    async def list_deliveries(self, endpoint_id: UUID, limit: int) -> Sequence[Delivery]:
        """See EndpointStore."""
        async with self._connections.for_read() as database:
            return [_delivery_of(row) for row in await database.fetch(_DELIVERIES, endpoint_id, limit)]

    async def listen(self, changed: Callable[[], None]) -> None:
        """See EndpointStore."""
        await listen(self._dsn, "tradingsignals notifications", CHANNEL, changed)


def _filter_values(filter_: EntryFilter) -> tuple[object, ...]:
    return sorted(filter_.kinds), sorted(filter_.symbols), filter_.min_confidence


def _progress_values(progress: DeliveryProgress) -> tuple[object, ...]:
    """Return the values of _PROGRESS."""
    one = progress
    failing = (one.failed_attempts, one.failing_since, one.next_attempt_at)
    return one.cursor, one.lost, *failing, one.state, one.disabled_reason


def _delivery_values(delivery: Delivery) -> tuple[object, ...]:
    attempt = delivery.attempt
    return delivery.sequence, delivery.number, attempt.time, attempt.http_status, attempt.error, attempt.latency_ms


def _delivery_of(row: asyncpg.Record) -> Delivery:
    attempt = Attempt(row["time"], row["latency_ms"], row["http_status"], row["error"])
    return Delivery(row["sequence"], row["attempt"], attempt)


def _endpoint_of(row: asyncpg.Record) -> Endpoint:
    return Endpoint(
        id=row["endpoint_id"],
        name=row["name"],
        kind=EndpointKind(row["kind"]),
        url=row["url"],
        secret=row["secret"],
        filter=EntryFilter(frozenset(map(EventKind, row["kinds"])), frozenset(row["symbols"]), row["min_confidence"]),
        created_at=row["created_at"],
        progress=DeliveryProgress(
            cursor=row["cursor"],
            lost=row["lost"],
            failed_attempts=row["failed_attempts"],
            failing_since=row["failing_since"],
            next_attempt_at=row["next_attempt_at"],
            state=EndpointState(row["state"]),
            disabled_reason=row["disabled_reason"],
        ),
        revision=row["revision"],
    )
