"""Backups of each kind of storage, and their restoration: every row is there, and nothing half-restored is used."""

from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path
from urllib.parse import quote

import asyncpg
import pytest
from tests.support.builders import walk
from tests.support.deadlines import DEADLINE, within
from tests.support.engine import running_engine
from tests.support.memory_endpoints import endpoint
from tests.support.postgres import PASSWORD

from tradingsignals_server.adapters.postgres.backup import BackupFailed, back_up, restore, valid_keys
from tradingsignals_server.adapters.postgres.connection import Connections, connections
from tradingsignals_server.adapters.postgres.embedded.programs import program
from tradingsignals_server.adapters.postgres.endpoints import PostgresEndpoints
from tradingsignals_server.adapters.postgres.migrate import MigrationError, migrate
from tradingsignals_server.adapters.postgres.peer_secret import peer_secret
from tradingsignals_server.adapters.postgres.store import PostgresStore
from tradingsignals_server.api.mapping.log_encoding import encode
from tradingsignals_server.application.ports.notifications import EndpointChanges
from tradingsignals_server.domain.notifications import EndpointState

from .conftest import Storage

BARS = walk(160, seed=5)


async def rows_of(dsn: str) -> dict[str, list[str]]:
    """Every row of every table as text, in order; without what a restoration changes: the epoch, and the secret."""
    looking = await asyncpg.connect(dsn, timeout=DEADLINE)
    try:
        tables = await looking.fetch(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'peer_secret'"
        )
        rows = {}
        for table in sorted(row["tablename"] for row in tables):
            found = await looking.fetch(f"SELECT (to_jsonb(each) - 'epoch')::text AS row FROM {table} AS each")
            rows[table] = sorted(row["row"] for row in found)
        return rows
    finally:
        await looking.close()


async def epoch_of(dsn: str) -> str:
    looking = await asyncpg.connect(dsn, timeout=DEADLINE)
    try:
        return str(await looking.fetchval("SELECT epoch FROM event_log"))
    finally:
        await looking.close()


def files_in(folder: Path) -> dict[str, str]:
    return {file.name: file.read_text() for file in folder.iterdir()}


@pytest.fixture
async def empty(storage: Storage) -> str:
    """The address of a database that was just created."""
    return await storage.new_database()


@pytest.fixture
async def filled(pool: Connections, dsn: str) -> str:
    """The address of a database in which an engine has worked."""
    async with running_engine(PostgresStore(pool, encode)) as running:
        await running.publish(BARS)
    return dsn


async def test_restored_database_has_every_row(filled: str, empty: str, tmp_path: Path) -> None:
    contents = await within(back_up(filled, tmp_path / "backup"))
    restored = await within(restore(empty, tmp_path / "backup", same_epoch=True))
    assert restored == contents
    assert contents.bars == len(BARS)
    assert contents.signals > 0
    assert await rows_of(empty) == await rows_of(filled)


async def test_engine_goes_on_with_a_restored_database_as_with_its_own(filled: str, empty: str, tmp_path: Path) -> None:
    await within(back_up(filled, tmp_path / "backup"))
    await within(restore(empty, tmp_path / "backup", same_epoch=True))
    later = walk(200, seed=5)[len(BARS) :]
    signals = []
    for dsn in (filled, empty):
        async with connections(dsn) as pool:
            async with pool.for_engine() as database:
                await migrate(database)
            async with running_engine(PostgresStore(pool, encode)) as running:
                receipts = await running.publish(later)
            signals.append([(receipt.time, receipt.signal_id, receipt.sequence) for receipt in receipts])
    assert signals[0] == signals[1]


async def test_log_gets_a_new_epoch_unless_it_is_to_be_the_same(filled: str, storage: Storage, tmp_path: Path) -> None:
    await within(back_up(filled, tmp_path / "backup"))
    same, other = await storage.new_database(), await storage.new_database()
    await within(restore(same, tmp_path / "backup", same_epoch=True))
    await within(restore(other, tmp_path / "backup", same_epoch=False))
    assert await epoch_of(same) == await epoch_of(filled)
    assert await epoch_of(other) != await epoch_of(filled)


async def test_a_key_that_was_revoked_after_the_backup_is_among_the_valid_ones(
    filled: str, empty: str, pool: Connections, tmp_path: Path
) -> None:
    keys = [
        ("a" * 13, "NULL", "NULL"),
        ("b" * 13, "now()", "NULL"),
        ("c" * 13, "NULL", "now()"),
        ("d" * 13, "NULL", "'2100-1-1'"),
    ]
    async with pool.for_engine() as database:
        for key_id, revoked, expires in keys:
            await database.execute(
                "INSERT INTO api_keys (key_id, name, role, secret_hash, revoked_at, expires_at) "
                f"VALUES ($1::text, 'desk', 'admin', sha256($1::text::bytea), {revoked}, {expires})",
                key_id,
            )
        await within(back_up(filled, tmp_path / "backup"))
        await database.execute("UPDATE api_keys SET revoked_at = now()")
    await within(restore(empty, tmp_path / "backup", same_epoch=False))
    assert await valid_keys(empty) == [f"{letter * 13} (desk)" for letter in "ad"]
    assert await valid_keys(filled) == []


@pytest.mark.parametrize("same_epoch", [True, False])
async def test_restored_database_delivers_to_no_endpoint(
    pool: Connections, dsn: str, empty: str, tmp_path: Path, same_epoch: bool
) -> None:
    """Its receivers are those of the original."""
    active, paused = endpoint(1), endpoint(2)
    original = PostgresEndpoints(pool, dsn)
    for each in (active, paused):
        await original.add_endpoint(each)
    await original.change_endpoint(paused.id, EndpointChanges(state=EndpointState.PAUSED))
    await within(back_up(dsn, tmp_path / "backup"))
    await within(restore(empty, tmp_path / "backup", same_epoch=same_epoch))
    async with connections(empty) as restored:
        found = await PostgresEndpoints(restored, empty).load_endpoints()
    assert {each.id for each in found} == {active.id, paused.id}
    for each in found:
        assert each.progress.state is EndpointState.DISABLED
        assert "restored from a backup" in each.progress.disabled_reason
    assert (await original.find_endpoint(active.id)) == active


async def test_backup_beside_a_working_engine_is_of_one_moment(
    pool: Connections, dsn: str, empty: str, tmp_path: Path
) -> None:
    """Its log ends where its head says, without a gap, and has the signals of that moment and no later one."""
    async with running_engine(PostgresStore(pool, encode)) as running:
        await running.publish(BARS[:120])

        async def publish_the_rest() -> None:
            for bar in BARS[120:]:
                await running.publish([bar])

        publishing = asyncio.create_task(publish_the_rest())
        contents = await within(back_up(dsn, tmp_path / "backup"))
        await within(publishing)
    restored = await within(restore(empty, tmp_path / "backup", same_epoch=True))
    assert restored == contents
    rows = await rows_of(empty)
    assert len(rows["events"]) == contents.newest
    looking = await asyncpg.connect(empty, timeout=DEADLINE)
    try:
        assert await looking.fetchval("SELECT max(sequence) FROM events") == contents.newest
        assert await looking.fetchval("SELECT max(sequence) FROM signals") <= contents.newest
        assert await looking.fetchval("SELECT count(*) FROM events WHERE kind = 'SIGNAL'") == contents.signals
    finally:
        await looking.close()


async def test_backup_can_be_read_by_its_owner_alone_and_has_no_secret(filled: str, empty: str, tmp_path: Path) -> None:
    """With the secret of the servers, a user of the machine could publish bars without a key."""
    umask = os.umask(0o022)
    try:
        await within(back_up(filled, tmp_path / "backup"))
    finally:
        os.umask(umask)
    assert stat.S_IMODE((tmp_path / "backup").stat().st_mode) == 0o600
    await within(restore(empty, tmp_path / "backup", same_epoch=True))
    secrets = []
    for dsn in (filled, empty):
        async with connections(dsn) as pool:
            secrets.append(await peer_secret(pool))
    assert secrets[0] != secrets[1]
    assert len(secrets[1]) == len(secrets[0])
    shown = [str(program("pg_restore")), "--data-only", "--table=peer_secret", "--file=-", str(tmp_path / "backup")]
    restoring = await asyncio.create_subprocess_exec(*shown, stdout=asyncio.subprocess.PIPE)
    output, _ = await within(restoring.communicate())
    assert secrets[0] not in output.decode()


async def test_backup_overwrites_no_file(filled: str, tmp_path: Path) -> None:
    (tmp_path / "backup").write_text("kept")
    with pytest.raises(BackupFailed, match="exists already"):
        await within(back_up(filled, tmp_path / "backup"))
    assert files_in(tmp_path) == {"backup": "kept"}


async def test_database_with_tables_takes_no_backup(filled: str, tmp_path: Path) -> None:
    await within(back_up(filled, tmp_path / "backup"))
    before = await rows_of(filled)
    with pytest.raises(BackupFailed, match="it is not empty"):
        await within(restore(filled, tmp_path / "backup", same_epoch=False))
    assert await rows_of(filled) == before


async def test_file_that_is_no_backup_is_refused(empty: str, tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("no backup")
    with pytest.raises(BackupFailed, match="does not appear to be a valid archive"):
        await within(restore(empty, tmp_path / "notes", same_epoch=False))
    assert await rows_of(empty) == {}


async def test_no_server_starts_on_a_restoration_that_was_cut_off(filled: str, empty: str, tmp_path: Path) -> None:
    await within(back_up(filled, tmp_path / "backup"))
    whole = (tmp_path / "backup").read_bytes()
    (tmp_path / "part").write_bytes(whole[: len(whole) * 3 // 4])
    with pytest.raises(BackupFailed, match="pg_restore failed"):
        await within(restore(empty, tmp_path / "part", same_epoch=False))
    async with connections(empty) as pool, pool.for_engine() as database:
        with pytest.raises(MigrationError, match="a backup is being restored into the database, or that was cut off"):
            await migrate(database)
    with pytest.raises(BackupFailed, match="cut off"):
        await within(back_up(empty, tmp_path / "another"))
    await within(restore(empty, tmp_path / "backup", same_epoch=True))
    assert await rows_of(empty) == await rows_of(filled)


async def test_database_of_another_program_is_not_backed_up(empty: str, tmp_path: Path) -> None:
    with pytest.raises(BackupFailed, match="not one of this service"):
        await within(back_up(empty, tmp_path / "backup"))
    assert files_in(tmp_path) == {}


async def test_unreachable_database_is_named_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(BackupFailed, match=r"the database at 127\.0\.0\.1:1 cannot be used") as failed:
        await within(back_up("postgresql://desk:secret@127.0.0.1:1/signals", tmp_path / "backup"))
    assert "secret" not in str(failed.value)


async def test_password_is_not_among_the_arguments_of_a_program(
    filled: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every user of a machine can list them."""
    started: list[str] = []
    run = asyncio.create_subprocess_exec

    async def noting(*arguments: str | Path, **options: object) -> asyncio.subprocess.Process:
        started.extend(map(str, arguments))
        return await run(*arguments, **options)  # type: ignore[arg-type]  # as they came

    monkeypatch.setattr(asyncio, "create_subprocess_exec", noting)
    await within(back_up(filled, tmp_path / "backup"))
    assert any("--dbname=" in argument for argument in started)
    assert not [argument for argument in started if PASSWORD in argument or quote(PASSWORD, safe="") in argument]
