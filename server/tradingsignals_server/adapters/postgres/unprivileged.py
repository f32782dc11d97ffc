"""Running a program that refuses to be root, when we are root.

It runs as an ordinary user, and that user may be barred from the folders above its files: a checkout under /root, a
folder from `mktemp -d`. Opening other people's folders is not ours to do, so we ask the kernel to let the program pass:
it keeps the one capability that needs, and nothing else of what root may do. See capabilities(7).
"""

from __future__ import annotations

import ctypes
import os
import pwd
import stat
import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

# <linux/capability.h>, <linux/prctl.h>, <linux/securebits.h>
_CAP_DAC_OVERRIDE = 1
_CAP_DAC_READ_SEARCH = 2
_CAPABILITY_VERSION_3 = 0x20080522
_PR_SET_SECUREBITS = 28
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_SECBIT_NO_SETUID_FIXUP = 1 << 2


@dataclass(frozen=True, slots=True)
class Account:
    """A user of this machine, other than root."""

    name: str
    uid: int
    gid: int

    @classmethod
    def to_own(cls, folder: Path) -> Account | None:
        """Who is to own `folder` and run the program that works in it; None if we are not root and do both ourselves.

        Whoever owns it already, if that is not root; otherwise the system's user for PostgreSQL, or nobody.
        """
        if os.geteuid() != 0:
            return None
        if folder.exists() and (status := folder.stat()).st_uid != 0:
            return cls(user_name(status.st_uid), status.st_uid, status.st_gid)
        entry = _entry("postgres") or _entry("nobody")
        return cls(entry.pw_name, entry.pw_uid, entry.pw_gid) if entry else cls("nobody", 65534, 65534)

    def become(self, program: Path, *folders: Path) -> Callable[[], None]:
        """Make a `preexec_fn` that turns the child into this user, able to run `program` and to work in its `folders`.

        To be called in the parent. In the child it raises OSError if we are a root who may not change users.
        """
        libc = ctypes.CDLL(None, use_errno=True)  # looked up here: the child, just forked, must not load libraries
        kept = self._capability_needed(program, folders)
        mask = 0 if kept is None else 1 << kept
        header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
        sets = struct.pack("=6I", mask, mask, mask, 0, 0, 0)  # effective, permitted, inheritable: low words, high words

        def check(result: int, call: str) -> None:
            if result != 0:
                raise OSError(ctypes.get_errno(), call)

        def in_the_child() -> None:
            if kept is not None:
                # Without this bit access(2), by which PostgreSQL looks for its own files, disregards capabilities.
                check(libc.prctl(_PR_SET_SECUREBITS, _SECBIT_NO_SETUID_FIXUP, 0, 0, 0), "prctl(PR_SET_SECUREBITS)")
            os.setgroups([])
            os.setresgid(self.gid, self.gid, self.gid)
            os.setresuid(self.uid, self.uid, self.uid)
            if kept is not None:
                check(libc.capset(header, sets), "capset")
                # Ambient: kept through exec, by this program and by those it starts.
                check(libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, kept, 0, 0), "prctl(PR_CAP_AMBIENT)")

        return in_the_child

    def _capability_needed(self, program: Path, folders: Sequence[Path]) -> int | None:
        """The least that will do. Nothing where the way is open, so that an intruder in the program gains nothing."""
        if not self._all_grant(stat.S_IROTH | stat.S_IXOTH, [program]):  # installed under a umask of 077
            return _CAP_DAC_OVERRIDE
        if not self._all_grant(stat.S_IXOTH, {parent for path in (program, *folders) for parent in path.parents}):
            return _CAP_DAC_READ_SEARCH
        return None

    def _all_grant(self, rights: int, paths: Iterable[Path]) -> bool:
        return all(self._rights_on(path) & rights == rights for path in paths)

    def _rights_on(self, path: Path) -> int:
        status = path.stat()
        shift = 6 if status.st_uid == self.uid else 3 if status.st_gid == self.gid else 0
        return status.st_mode >> shift & 0o7


def user_name(uid: int) -> str:
    """The user's name, or its number if it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _entry(name: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None
