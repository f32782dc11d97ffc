"""`tradingsignals notifications`: endpoints in the database of the settings, beside a service that may be running."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime

import click
from google.protobuf.message import Message

from tradingsignals.v1 import notification_pb2
from tradingsignals.v1 import notification_service_pb2 as pb

from ..adapters.postgres.audit import PostgresAudit
from ..adapters.postgres.connection import connections
from ..adapters.postgres.endpoints import PostgresEndpoints
from ..adapters.postgres.store import PostgresStore
from ..api.mapping.log_encoding import encode
from ..application.event_log.tail import LogTail
from ..application.notifications.service import EndpointService
from ..application.ports.notifications import EndpointChanges
from ..bootstrap.notifications import build_notifications
from ..bootstrap.storage import migrate_schema, readable_database
from ..config.settings import Settings
from ..domain.errors import InvalidRequest, SequenceOutOfRange
from ..domain.events import EventKind
from ..domain.notification_errors import EndpointExists, TooManyEndpoints
from ..domain.notifications import Endpoint, EndpointState, EntryFilter
from ..domain.symbols import parse_symbol
from .audited import entry

_REFUSALS = (InvalidRequest, SequenceOutOfRange, EndpointExists, TooManyEndpoints)


async def create(
    settings: Settings,
    name: str,
    url: str,
    kinds: Sequence[str],
    symbols: Sequence[str],
    min_confidence: float | None,
    after: int | None,
) -> None:
    """Make an endpoint, and print its secret alone on standard output, what else is to be known on standard error."""
    async with _service(settings) as (service, audit):
        known = frozenset(parse_symbol(symbol) for symbol in symbols)
        filter_ = EntryFilter(frozenset(map(EventKind, kinds)), known, min_confidence)
        made = await service.create(name, url, filter_, after)
        sent = notification_pb2.NotificationFilter(kinds=kinds, symbols=sorted(known), min_confidence=min_confidence)
        request = pb.CreateEndpointRequest(name=name, url=url, filter=sent, resume_after=after)
        await _note(audit, "CreateEndpoint", request)
    click.echo(f"endpoint {made.name} at {made.address}: its secret is not shown again", err=True)
    click.echo(made.secret)


async def list_endpoints(settings: Settings) -> None:
    """Print all endpoints, one a line."""
    async with _service(settings) as (service, _):
        found = await service.list()
    rows = [("NAME", "STATE", "ADDRESS", "THROUGH", "PENDING", "LOST", "FAILING SINCE", "REASON")]
    for one in found.endpoints:
        progress = one.progress
        counts = (progress.cursor, max(0, found.newest - progress.cursor), progress.lost)
        through, pending, lost = map(str, counts)
        since, reason = _time(progress.failing_since), progress.disabled_reason
        rows.append((one.name, progress.state.lower(), one.address, through, pending, lost, since, reason))
    _print(rows)


async def update(settings: Settings, name: str, url: str | None, paused: bool | None, after: int | None) -> None:
    """Change an endpoint."""
    state = None if paused is None else EndpointState.PAUSED if paused else EndpointState.ACTIVE
    async with _service(settings) as (service, audit):
        found = await _named(service, name)
        changed = await service.change(found.id, EndpointChanges(url=url, state=state, cursor=after))
        changes = pb.EndpointChanges(url=url, paused=paused, resume_after=after)
        await _note(audit, "UpdateEndpoint", pb.UpdateEndpointRequest(endpoint_id=str(found.id), changes=changes))
    click.echo(f"{changed.name} is {changed.progress.state.lower()}, delivered through {changed.progress.cursor}")


async def test(settings: Settings, name: str) -> None:
    """Send a test message."""
    async with _service(settings) as (service, audit):
        found = await _named(service, name)
        attempt = await service.test(found.id)
        await _note(audit, "TestEndpoint", pb.TestEndpointRequest(endpoint_id=str(found.id)))
    if attempt.error:
        raise click.ClickException(f"{attempt.error} ({attempt.latency_ms:.0f} ms)")
    click.echo(f"delivered: HTTP {attempt.http_status} ({attempt.latency_ms:.0f} ms)")


async def deliveries(settings: Settings, name: str, limit: int) -> None:
    """Print the newest attempts, one a line."""
    async with _service(settings) as (service, _):
        found = await service.deliveries((await _named(service, name)).id, limit)
    rows = [("TIME", "SEQUENCE", "ATTEMPT", "HTTP", "MS", "RESULT")]
    for one in found:
        attempt = one.attempt
        status = "-" if attempt.http_status is None else str(attempt.http_status)
        took, result = f"{attempt.latency_ms:.0f}", attempt.error or "delivered"
        rows.append((_time(attempt.time), str(one.sequence), str(one.number), status, took, result))
    _print(rows)


async def delete(settings: Settings, name: str) -> None:
    """Delete an endpoint."""
    async with _service(settings) as (service, audit):
        found = await _named(service, name)
        await service.delete(found.id)
        await _note(audit, "DeleteEndpoint", pb.DeleteEndpointRequest(endpoint_id=str(found.id)))
    click.echo(f"deleted {name}")


@asynccontextmanager
async def _service(settings: Settings) -> AsyncIterator[tuple[EndpointService, PostgresAudit]]:
    async with readable_database(settings) as dsn, connections(dsn) as pool:
        await migrate_schema(pool)
        store = PostgresStore(pool, encode)
        log_tail = LogTail(store, await store.log_head())
        try:
            service = build_notifications(settings, PostgresEndpoints(pool, dsn), log_tail).endpoints
            yield service, PostgresAudit(pool)
        except _REFUSALS as error:
            raise click.UsageError(error.message) from error


async def _note(audit: PostgresAudit, method: str, request: Message) -> None:
    await audit.append_entries([entry("notifications", "NotificationService", method, request)])


async def _named(service: EndpointService, name: str) -> Endpoint:
    for endpoint in (await service.list()).endpoints:
        if endpoint.name == name:
            return endpoint
    raise click.ClickException(f'there is no endpoint "{name}"; `tradingsignals notifications list` lists them')


def _print(rows: Sequence[tuple[str, ...]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _time(time: datetime | None) -> str:
    return "-" if time is None else f"{time:%Y-%m-%dT%H:%M:%SZ}"
