"""`tradingsignals keys`: API keys in the database of the settings, beside a service that may be running on it."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import click

from tradingsignals.v1 import access_service_pb2 as pb

from ..adapters.postgres.api_keys import PostgresKeys
from ..adapters.postgres.audit import PostgresAudit
from ..adapters.postgres.connection import connections
from ..api.mapping.to_proto import timestamp
from ..application.access.key_service import KeyService
from ..bootstrap.engine import utc_now
from ..bootstrap.storage import migrate_schema, readable_database
from ..config.settings import Settings
from ..domain.access import ApiKey, Role
from ..domain.access_errors import KeyNotFound
from ..domain.errors import InvalidRequest
from .audited import entry


async def create(
    settings: Settings, name: str, role: Role, lifetime: timedelta | None, networks: Sequence[str]
) -> None:
    """Make a key, and print it alone on standard output, what else is to be known on standard error."""
    async with _service(settings) as (service, audit):
        try:
            expires_at = None if lifetime is None else utc_now() + lifetime
            made = await service.create(name, role, expires_at, networks)
        except InvalidRequest as error:
            raise click.UsageError(str(error)) from error
        until = None if expires_at is None else timestamp(expires_at)
        request = pb.CreateKeyRequest(name=name, role=role.upper(), expires_at=until, networks=networks)
        await audit.append_entries([entry("keys", "AccessService", "CreateKey", request)])
    click.echo(f"key {made.key.id} ({role}): it is not shown again", err=True)
    click.echo(made.text)


async def list_keys(settings: Settings) -> None:
    """Print all keys, one a line."""
    async with _service(settings) as (service, _):
        found = await service.list()
    rows = [("KEY ID", "ROLE", "STATE", "EXPIRES", "LAST USED", "NETWORKS", "NAME"), *map(_row, found)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


async def revoke(settings: Settings, key_id: str) -> None:
    """Revoke a key."""
    async with _service(settings) as (service, audit):
        try:
            key = await service.revoke(key_id)
        except KeyNotFound as error:
            raise click.ClickException(f"{error}; `tradingsignals keys list` lists them") from error
        await audit.append_entries([entry("keys", "AccessService", "RevokeKey", pb.RevokeKeyRequest(key_id=key.id))])
    click.echo(f"revoked {key.id} ({key.name})")


@asynccontextmanager
async def _service(settings: Settings) -> AsyncIterator[tuple[KeyService, PostgresAudit]]:
    async with readable_database(settings) as dsn, connections(dsn) as pool:
        await migrate_schema(pool)
        yield KeyService(PostgresKeys(pool, dsn), utc_now, secrets.token_bytes), PostgresAudit(pool)


def _row(key: ApiKey) -> tuple[str, ...]:
    invalid = key.invalid(utc_now())
    state = "valid" if invalid is None else invalid.metadata["cause"]
    networks = ",".join(map(str, key.networks)) or "all"
    return key.id, key.role, state, _time(key.expires_at, "never"), _time(key.last_used_at, "-"), networks, key.name


def _time(time: datetime | None, absent: str) -> str:
    return absent if time is None else f"{time:%Y-%m-%dT%H:%M:%SZ}"
