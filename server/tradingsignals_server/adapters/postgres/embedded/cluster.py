"""A PostgreSQL cluster: its data folder, how its programs are run, and how it is created."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import quote

from ...processes.children import die_with_parent
from ...processes.exits import wait_for_exit
from .programs import EmbeddedPostgresError
from .unprivileged import HERE, UnixAccount, user_name

SUPERUSER = "postgres"
PORT = 5432
"""Part of the socket's name; no port is opened."""
_CAUSE = re.compile(r"\b(?:FATAL|PANIC|ERROR|error):\s+(.+)")
"""The cause of a failure in a line of initdb, which it prints before what it does about it."""

_INITDB_TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True)
class Cluster:
    """A data folder, and how its server is run and reached.

    account: the user that runs it, None for the user of this process. programs: folder of PostgreSQL's programs.
    socket_dir: the cluster's folder or a shorter path.
    """

    folder: Path
    socket_dir: Path
    account: UnixAccount | None
    programs: Path

    @property
    def name(self) -> str:
        """Unique to the folder; `ps` shows it."""
        return name_of(self.folder)

    def dsn(self, database: str) -> str:
        """How asyncpg connects."""
        return f"postgresql://{SUPERUSER}@/{quote(database, safe='')}?host={quote(str(self.socket_dir))}&port={PORT}"

    def launch(
        self, name: str, *arguments: str, folder: Path, output: int | IO[bytes], death_signal: signal.Signals
    ) -> subprocess.Popen[bytes]:
        """Run one of PostgreSQL's programs on the data in `folder`, as the account; the kernel ends it when we end.

        Args:
            name: of the program.
            arguments: beside that of the data folder.
            folder: the data folder.
            output: for its output and errors.
            death_signal: sent to it when this process ends, however it ends.

        Raises:
            EmbeddedPostgresError: we are root and may not become that account.
            OSError: it could not be run.
        """
        die = in_the_child = die_with_parent(death_signal)
        if self.account is not None:
            become = self.account.become()

            def in_the_child() -> None:
                become()
                die()  # second, for the change of user would take it back

        try:
            return subprocess.Popen(
                [str(self.programs / name), "-D", str(HERE), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=folder,  # entered before the change of user
                env=_environment(),
                start_new_session=True,  # Ctrl-C on the terminal is for us alone
                preexec_fn=in_the_child,  # noqa: PLW1509 - made in the parent, it takes no lock and loads nothing
            )
        except subprocess.SubprocessError as error:
            raise EmbeddedPostgresError(
                "PostgreSQL does not run as root, and this process may not become another user; "
                "start it as an ordinary user, or name a server with POSTGRES_HOST or DATABASE_URL"
            ) from error


def name_of(folder: Path) -> str:
    """A name for the cluster in `folder`, and for nothing else on this machine."""
    return f"tradingsignals-{hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]}"


def socket_in(folder: Path) -> Path:
    """Where the socket of a server lies that has `folder` as its `socket_dir`."""
    return folder / f".s.PGSQL.{PORT}"


def _environment() -> dict[str, str]:
    """The child's environment: none of our secrets, none of the user's PG* variables."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    return kept | {"LC_ALL": "C"}


async def create_if_missing(cluster: Cluster) -> None:
    """Create the cluster by initdb unless it exists."""
    with _beside(cluster) as making:
        if making is not None:
            await _initdb(making, cluster)


@contextmanager
def _beside(cluster: Cluster) -> Iterator[Path | None]:
    """Yield a folder to create the cluster in, and rename it at the end; None if the cluster exists.

    An interruption therefore never leaves half a cluster in its place.
    """
    parent, prefix = cluster.folder.parent, f"{cluster.folder.name}.incomplete-"
    for remains in parent.glob(f"{prefix}*"):
        shutil.rmtree(remains, ignore_errors=True)  # an initdb that still writes there leaves a rest for next time
    if (cluster.folder / "PG_VERSION").exists():
        yield None
        return
    making = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    try:
        give_to(cluster.account, making)
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
            async with asyncio.timeout(_INITDB_TIMEOUT_S):
                await wait_for_exit(process.pid)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        output.seek(0)
        said = output.read().decode(errors="replace").strip().splitlines()
    if process.returncode != 0:
        causes = [found[1] for found in map(_CAUSE.search, said) if found] or said[-3:]
        raise EmbeddedPostgresError(f"initdb failed: {'; '.join(causes[:3])}")


def restrict_access(cluster: Cluster) -> None:
    """Let only the user of this process connect. Older versions let every local user connect."""
    head = "# Written at every start of the service."
    user = user_name(os.geteuid())
    _replace(cluster, "pg_hba.conf", f"{head}\nlocal all all peer map=service\n")
    _replace(cluster, "pg_ident.conf", f'{head}\nservice "{user}" {SUPERUSER}\n')


def _replace(cluster: Cluster, name: str, text: str) -> None:
    """Replace a file in the cluster's folder without following a link that the folder's owner may have put there."""
    descriptor, written = tempfile.mkstemp(prefix=f"{name}.", dir=cluster.folder)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        if cluster.account is not None:
            os.fchown(descriptor, cluster.account.uid, cluster.account.gid)
    Path(written).replace(cluster.folder / name)


def give_to(account: UnixAccount | None, folder: Path) -> None:
    """Make `account`, if there is one, the owner of `folder`."""
    if account is not None:
        os.chown(folder, account.uid, account.gid)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
