"""A PostgreSQL of our own: made when missing, started again when it dies, stopped with us.

In its folder `postgres/` is the cluster and `lock` is held (flock) by the process that runs it, whose pid it names. The
server is our child: the kernel shuts it down when we are gone, even by kill -9. It listens on a Unix socket alone, in a
folder that is closed to others, and lets in the user of this process alone, whom the kernel vouches for (peer).
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import shutil
import signal
import stat
import tempfile
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import asyncpg

from .postmaster import SUPERUSER, Cluster, Postmaster, name_of, socket_in, wait_for_exit
from .programs import MAJOR, EmbeddedPostgresError, program, programs_for
from .unprivileged import Account, user_name

__all__ = ["EmbeddedPostgres", "EmbeddedPostgresError", "running_postgres"]

_logger = logging.getLogger(__name__)

_LONGEST_SOCKET_PATH = 107  # bytes: sockaddr_un of Linux less its final zero
_INITDB_DEADLINE = 120.0  # seconds
_CONNECT_DEADLINE = 10.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0  # seconds between attempts to start again; the very first waits for nothing
_STEADY = 60.0  # seconds of running after which the next end counts as a first one


class EmbeddedPostgres:
    """A running server. `dsn` (for asyncpg) and `socket_dir` stay the same through restarts; connections do not."""

    def __init__(self, cluster: Cluster, database: str, postmaster: Postmaster) -> None:
        self.dsn = cluster.dsn(database)
        self.socket_dir = cluster.socket_dir
        self.restarts = 0
        self._cluster = cluster
        self._postmaster = postmaster
        self._restarted = asyncio.Condition()

    @property
    def pid(self) -> int:
        """The postmaster's process id; another one after a restart."""
        return self._postmaster.pid

    async def wait_for_restart(self, count: int) -> None:
        """Wait until the server has been started again `count` times in all and takes connections."""
        async with self._restarted:
            await self._restarted.wait_for(lambda: self.restarts >= count)

    async def stop(self) -> None:
        """Shut the server down."""
        await self._postmaster.stop()

    async def keep_running(self) -> None:
        """Start the server again whenever it ends, until cancelled."""
        clock = asyncio.get_running_loop().time
        pause = 0.0
        while True:
            started = clock()
            how = await self._postmaster.ended()
            _logger.warning("PostgreSQL ended (%s); starting it again", how)
            pause = await self._start_again(0.0 if clock() - started > _STEADY else pause)
            self.restarts += 1
            _logger.warning("PostgreSQL is back")
            async with self._restarted:
                self._restarted.notify_all()

    async def _start_again(self, pause: float) -> float:
        """Try until it succeeds, first after `pause` seconds; return the pause to make before the next attempt."""
        while True:
            await asyncio.sleep(pause)
            pause = min(max(2 * pause, _FIRST_PAUSE), _LONGEST_PAUSE)
            try:
                self._postmaster = await Postmaster.start(self._cluster)
            except (EmbeddedPostgresError, OSError) as error:
                _logger.error("PostgreSQL does not come back yet: %s", error)
            else:
                return pause


@asynccontextmanager
async def running_postgres(folder: Path, database: str) -> AsyncIterator[EmbeddedPostgres]:
    """Run PostgreSQL in `folder`, with a database of that name, for as long as the context lasts.

    Enter it on a thread that lasts as long as the process: the server ends with the thread that started it.

    Raises:
        EmbeddedPostgresError: another live process uses the folder, another major version or another user made the
            cluster, or PostgreSQL does not start.
    """
    async with AsyncExitStack() as stack:
        try:
            place, account = _place_in(folder)
            stack.enter_context(_locked(place.with_name("lock")))
            programs = stack.enter_context(programs_for(account, name_of(place)))
            cluster = Cluster(place, _socket_dir(place), account, programs)
            await _make_if_missing(cluster)
            _let_in_ourselves_alone(cluster)
            stack.enter_context(_socket_dir_made(cluster))
            postgres = EmbeddedPostgres(cluster, database, await Postmaster.start(cluster))
            stack.push_async_callback(postgres.stop)
            await _create_if_missing(database, cluster)
        except OSError as error:
            raise EmbeddedPostgresError(f"the embedded PostgreSQL cannot be run: {_one_line(error)}") from error
        await stack.enter_async_context(_in_background(postgres.keep_running()))
        yield postgres


@asynccontextmanager
async def _in_background(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Have `work` done for as long as the context lasts; what it fails by is raised at the end."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.result()


def _place_in(folder: Path) -> tuple[Path, Account | None]:
    """Where the cluster is or will be, and who is to run it."""
    program("postgres")  # where it is not installed, nothing is to be made
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    place = folder / "postgres"
    account = Account.to_own(place)
    _check(place, account)
    return place, account


def _check(place: Path, account: Account | None) -> None:
    """Refuse a cluster that we cannot use, before anything is touched."""
    if not place.exists():
        return
    owner = place.stat().st_uid
    if account is None and owner != os.geteuid():
        raise EmbeddedPostgresError(
            f"{place} belongs to user {user_name(owner)}: start as that user, or choose another DATA_DIR"
        )
    try:
        version = (place / "PG_VERSION").read_text().strip()
    except FileNotFoundError:
        if any(place.iterdir()):
            raise EmbeddedPostgresError(f"{place} has files in it but is no PostgreSQL cluster") from None
        return
    if version != str(MAJOR):
        raise EmbeddedPostgresError(
            f"{place} was made by PostgreSQL {version} and this is {MAJOR}: move its data over by pg_dump, "
            "or choose another DATA_DIR"
        )


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock for as long as the context lasts. The kernel lets go of it when its holder dies."""
    descriptor = _lock(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)  # first, so that no other process holds a lock on a file without a name
        os.close(descriptor)


def _lock(path: Path) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.exists() and os.path.samestat(path.stat(), os.fstat(descriptor)):
                os.ftruncate(descriptor, 0)
                os.write(descriptor, f"{os.getpid()}\n".encode())
                return descriptor
        except BlockingIOError:
            holder = os.read(descriptor, 32).decode().strip() or "that has just started"
            os.close(descriptor)
            raise EmbeddedPostgresError(
                f"{path.parent} is in use by process {holder}: stop it, or choose another DATA_DIR"
            ) from None
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # its holder removed the file while we took the lock: once more, on the new one


async def _make_if_missing(cluster: Cluster) -> None:
    with _beside(cluster) as making:
        if making is not None:
            await _initdb(making, cluster)


@contextmanager
def _beside(cluster: Cluster) -> Iterator[Path | None]:
    """A folder to make the cluster in, put in its place if all goes well; None if the cluster is there.

    So half a cluster, left by an interruption, is never taken for one.
    """
    parent, prefix = cluster.folder.parent, f"{cluster.folder.name}.incomplete-"
    for remains in parent.glob(f"{prefix}*"):
        shutil.rmtree(remains, ignore_errors=True)  # a dying initdb may be writing there yet: the rest goes next time
    if (cluster.folder / "PG_VERSION").exists():
        yield None
        return
    making = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    try:
        _give_to(cluster.account, making)
        yield making
        making.rename(cluster.folder)
    except BaseException:
        shutil.rmtree(making, ignore_errors=True)
        raise
    _sync(parent)


async def _initdb(folder: Path, cluster: Cluster) -> None:
    options = [
        "--encoding=UTF8",
        "--locale=C",
        "--auth=peer",
        "--data-checksums",
        "--no-instructions",
        "-U",
        SUPERUSER,
    ]
    with tempfile.TemporaryFile() as output:
        process = cluster.launch("initdb", *options, folder=folder, output=output, death_signal=signal.SIGKILL)
        try:
            async with asyncio.timeout(_INITDB_DEADLINE):
                await wait_for_exit(process.pid)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        output.seek(0)
        said = output.read().decode(errors="replace").strip().splitlines()
    if process.returncode != 0:
        raise EmbeddedPostgresError(f"initdb failed: {'; '.join(said[-3:])}")


def _let_in_ourselves_alone(cluster: Cluster) -> None:
    """Write who may connect, and as whom; also over what a version that trusted every local user has left there."""
    head = "# Written at every start of the service."
    ourselves = user_name(os.geteuid())
    _replace(cluster, "pg_hba.conf", f"{head}\nlocal all all peer map=service\n")
    _replace(cluster, "pg_ident.conf", f'{head}\nservice "{ourselves}" {SUPERUSER}\n')


def _replace(cluster: Cluster, name: str, text: str) -> None:
    """Put a file in the cluster's folder, whose owner may have put a link there that we, as root, must not follow."""
    descriptor, written = tempfile.mkstemp(prefix=f"{name}.", dir=cluster.folder)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        if cluster.account is not None:
            os.fchown(descriptor, cluster.account.uid, cluster.account.gid)
    Path(written).replace(cluster.folder / name)


async def _create_if_missing(database: str, cluster: Cluster) -> None:
    try:
        connection = await asyncpg.connect(cluster.dsn(SUPERUSER), timeout=_CONNECT_DEADLINE)
        try:
            if not await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", database):
                name = database.replace('"', '""')
                await connection.execute(f'CREATE DATABASE "{name}"')
        finally:
            await connection.close()
    except asyncpg.PostgresError as error:
        raise EmbeddedPostgresError(f"database {database} cannot be had: {error}") from error


def _socket_dir(folder: Path) -> Path:
    """The cluster's folder, or a short one below the system's temporary folder if the socket's path would not do."""
    short = Path(tempfile.gettempdir()).resolve() / name_of(folder)
    for candidate in (folder, short):
        separated = any(mark in str(candidate) for mark in ',"')  # means several folders to PostgreSQL and to asyncpg
        if not separated and len(os.fsencode(socket_in(candidate))) <= _LONGEST_SOCKET_PATH:
            return candidate
    raise EmbeddedPostgresError(f"the path of {short} is too long for a socket: set TMPDIR to a shorter one")


@contextmanager
def _socket_dir_made(cluster: Cluster) -> Iterator[None]:
    if cluster.socket_dir == cluster.folder:
        yield
        return
    try:
        cluster.socket_dir.mkdir(mode=0o700)
        _give_to(cluster.account, cluster.socket_dir)
    except FileExistsError:
        _check_left_by_us(cluster)
    try:
        yield
    finally:
        shutil.rmtree(cluster.socket_dir, ignore_errors=True)


def _check_left_by_us(cluster: Cluster) -> None:
    """Everybody can make files in the temporary folder: take only what a killed predecessor left there."""
    status = cluster.socket_dir.lstat()
    ours = {os.geteuid(), cluster.account.uid if cluster.account else os.geteuid()}
    if not stat.S_ISDIR(status.st_mode) or status.st_uid not in ours or stat.S_IMODE(status.st_mode) != 0o700:
        raise EmbeddedPostgresError(f"{cluster.socket_dir} is in the way: remove it")
    _give_to(cluster.account, cluster.socket_dir)


def _give_to(account: Account | None, folder: Path) -> None:
    if account is not None:
        os.chown(folder, account.uid, account.gid)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _one_line(error: OSError) -> str:
    said = error.strerror or str(error) or type(error).__name__
    return f"{error.filename}: {said}" if error.filename else said
