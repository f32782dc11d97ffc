"""An embedded PostgreSQL: created if it is missing, restarted when it dies, stopped with this process.

The folder `postgres/` is the cluster. The process that runs it holds the file `lock` (flock), which has its pid. The
server is a child process, which the kernel shuts down when this process is gone, even by kill -9. It listens on a Unix
socket only, in a folder that is closed to other users, and only the user of this process may connect (peer).
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import socket
import stat
import tempfile
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path

from . import databases
from .cluster import Cluster, create_if_missing, give_to, name_of, restrict_access, socket_in
from .folder_lock import locked
from .postmaster import Postmaster
from .programs import MAJOR, EmbeddedPostgresError, program, programs_for
from .unprivileged import UnixAccount, user_name

_logger = logging.getLogger(__name__)

_LONGEST_SOCKET_PATH = 107  # bytes: sockaddr_un of Linux less its final zero
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 5.0  # between restarts; the first has no pause
_STEADY_S = 60.0  # of running, after which the next end is followed by no pause


class EmbeddedPostgres:
    """A running server. `dsn` (for asyncpg) and `socket_dir` stay the same through restarts; connections do not."""

    def __init__(self, cluster: Cluster, database: str, postmaster: Postmaster) -> None:
        self.cluster = cluster
        self.dsn = cluster.dsn(database)
        self.socket_dir = cluster.socket_dir
        self.restarts = 0
        self._postmaster = postmaster
        self._restarted = asyncio.Condition()

    @property
    def pid(self) -> int:
        """The postmaster's process id; another one after a restart."""
        return self._postmaster.pid

    async def wait_for_restart(self, count: int) -> None:
        """Wait until the server has been restarted `count` times in all and accepts connections."""
        async with self._restarted:
            await self._restarted.wait_for(lambda: self.restarts >= count)

    async def stop(self) -> None:
        """Shut the server down."""
        await self._postmaster.stop()

    async def keep_running(self) -> None:
        """Restart the server whenever it ends, until cancelled."""
        clock = asyncio.get_running_loop().time
        pause = 0.0
        while True:
            started = clock()
            how = await self._postmaster.ended()
            _logger.warning("PostgreSQL ended (%s); starting it again", how)
            pause = await self._start_again(0.0 if clock() - started > _STEADY_S else pause)
            self.restarts += 1
            _logger.warning("PostgreSQL is back")
            async with self._restarted:
                self._restarted.notify_all()

    async def _start_again(self, pause: float) -> float:
        """Restart after `pause` seconds, again until it succeeds; return the pause before the next restart."""
        while True:
            await asyncio.sleep(pause)
            pause = min(max(2 * pause, _FIRST_PAUSE_S), _LONGEST_PAUSE_S)
            try:
                self._postmaster = await Postmaster.start(self.cluster)
            except (EmbeddedPostgresError, OSError) as error:
                _logger.error("PostgreSQL does not come back yet: %s", error)
            else:
                return pause


@asynccontextmanager
async def running_postgres(
    folder: Path, database: str, *, remember_it: bool = False
) -> AsyncIterator[EmbeddedPostgres]:
    """Run PostgreSQL in `folder`, with a database of that name, for as long as the context lasts.

    Enter it on a thread that lasts as long as the process: the server ends with the thread that started it.

    Args:
        folder: the data folder.
        database: its name; it is created if it is missing.
        remember_it: record that the service uses this database.

    Raises:
        EmbeddedPostgresError: another live process uses the folder, another major version or another user made the
            cluster, or PostgreSQL does not start.
    """
    async with AsyncExitStack() as stack:
        try:
            place, account = _place_in(folder)
            stack.enter_context(locked(place.with_name("lock")))
            programs = stack.enter_context(programs_for(account, name_of(place)))
            cluster = Cluster(place, _socket_dir(place), account, programs)
            await create_if_missing(cluster)
            restrict_access(cluster)
            if remember_it:
                databases.remember(place.parent, database)
            stack.enter_context(_socket_dir_made(cluster))
            postgres = EmbeddedPostgres(cluster, database, await Postmaster.start(cluster))
            stack.push_async_callback(postgres.stop)
            await databases.create_if_missing(database, cluster)
        except OSError as error:
            raise EmbeddedPostgresError(f"the embedded PostgreSQL cannot be run: {_one_line(error)}") from error
        await stack.enter_async_context(_in_background(postgres.keep_running()))
        yield postgres


def cluster_exists(folder: Path) -> bool:
    """Return whether there is a cluster in `folder`, running or not."""
    return (folder / "postgres" / "PG_VERSION").exists()


def cluster_if_running(folder: Path) -> Cluster | None:
    """Return the cluster that another process runs in `folder`, to connect to; None if none does.

    Raises:
        EmbeddedPostgresError: the path of its socket is too long.
    """
    place = folder.resolve() / "postgres"
    socket_dir = _socket_dir(place)
    return Cluster(place, socket_dir, None, place) if _is_listened_on(socket_in(socket_dir)) else None


def _is_listened_on(path: Path) -> bool:
    """Return whether a process listens on a socket: a power failure leaves its file."""
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(str(path))
        except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
            return False
        except OSError:
            return True  # the connection that follows gives the reason
    return True


@asynccontextmanager
async def _in_background(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Run `work` for as long as the context lasts; raise its error at the end."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.result()


def _place_in(folder: Path) -> tuple[Path, UnixAccount | None]:
    """Return the folder of the cluster, and the user that runs it."""
    program("postgres")  # without it nothing is created
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    place = folder / "postgres"
    account = UnixAccount.to_own(place)
    _check(place, account)
    return place, account


def _check(place: Path, account: UnixAccount | None) -> None:
    """Refuse a cluster that cannot be used, before anything is changed."""
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


def _socket_dir(folder: Path) -> Path:
    """Return the cluster's folder, or a short path in the temporary folder if it cannot hold a socket."""
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
        give_to(cluster.account, cluster.socket_dir)
    except FileExistsError:
        _check_left_by_us(cluster)
    try:
        yield
    finally:
        shutil.rmtree(cluster.socket_dir, ignore_errors=True)


def _check_left_by_us(cluster: Cluster) -> None:
    """Every user can create files in the temporary folder: take only a folder that a killed predecessor left."""
    status = cluster.socket_dir.lstat()
    ours = {os.geteuid(), cluster.account.uid if cluster.account else os.geteuid()}
    if not stat.S_ISDIR(status.st_mode) or status.st_uid not in ours or stat.S_IMODE(status.st_mode) != 0o700:
        raise EmbeddedPostgresError(f"{cluster.socket_dir} is in the way: remove it")
    give_to(cluster.account, cluster.socket_dir)


def _one_line(error: OSError) -> str:
    said = error.strerror or str(error) or type(error).__name__
    return f"{error.filename}: {said}" if error.filename else said
