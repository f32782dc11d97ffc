"""The databases of an embedded cluster: which there are, and which one the service of the data folder used last.

The latter is the only line of the file `database` beside the cluster, so that a command finds the database of a service
that was given its feed on the command line.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import asyncpg

from .cluster import SUPERUSER, Cluster
from .programs import EmbeddedPostgresError

_CONNECT_TIMEOUT_S = 10.0
_NAME = "database"


def remember(folder: Path, database: str) -> None:
    """Record that the service of the data folder uses `database`."""
    descriptor, written = tempfile.mkstemp(prefix=f"{_NAME}.", dir=folder)
    with os.fdopen(descriptor, "w") as file:
        file.write(f"{database}\n")
        os.fchmod(descriptor, 0o644)
    Path(written).replace(folder / _NAME)


def remembered(folder: Path) -> str | None:
    """Return the database that the service of the data folder used last, or uses; None if that was not recorded."""
    try:
        return (folder / _NAME).read_text().strip() or None
    except FileNotFoundError:
        return None


async def databases_in(cluster: Cluster) -> frozenset[str]:
    """Return the names of all databases of a running cluster.

    Raises:
        EmbeddedPostgresError: it cannot be reached, or does not let us in.
    """
    try:
        connection = await asyncpg.connect(cluster.dsn(SUPERUSER), timeout=_CONNECT_TIMEOUT_S)
        try:
            return frozenset(row["datname"] for row in await connection.fetch("SELECT datname FROM pg_database"))
        finally:
            await connection.close()
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        why = str(error) or type(error).__name__
        raise EmbeddedPostgresError(f"the PostgreSQL of {cluster.folder} cannot be used: {why}") from error


async def create_if_missing(database: str, cluster: Cluster) -> None:
    """Create a database of a running cluster unless it exists.

    Raises:
        EmbeddedPostgresError: PostgreSQL refuses.
    """
    try:
        connection = await asyncpg.connect(cluster.dsn(SUPERUSER), timeout=_CONNECT_TIMEOUT_S)
        try:
            if not await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", database):
                name = database.replace('"', '""')
                await connection.execute(f'CREATE DATABASE "{name}"')
        finally:
            await connection.close()
    except asyncpg.PostgresError as error:
        raise EmbeddedPostgresError(f"database {database} cannot be had: {error}") from error
