"""Runs a program that refuses to run as root, when this process is root: as an ordinary user without capabilities.

That user may have no access to the folders above its files: a checkout under /root, a folder from `mktemp -d`. It gets
no capability to pass them, because it could then read every file of the machine for its clients. It works in its
current folder instead, which is entered before the change of user (see HERE), and its programs are copied to a folder
from which it may run them (see programs.py).
"""

from __future__ import annotations

import ctypes
import os
import pwd
import stat
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

HERE = Path("/proc/self/cwd")
"""Path of the current folder of a process that needs no access to the folders above it: see proc(5)."""

# <linux/capability.h>, <linux/prctl.h>
_CAPABILITY_VERSION_3 = 0x20080522
_PR_CAPBSET_READ = 23
_PR_CAPBSET_DROP = 24
_PR_SET_NO_NEW_PRIVS = 38
_CAPABILITIES = 64  # more than any kernel has


@dataclass(frozen=True, slots=True)
class UnixAccount:
    """A user of this machine, other than root."""

    name: str
    uid: int
    gid: int

    @classmethod
    def to_own(cls, folder: Path) -> UnixAccount | None:
        """Return the user that is to own `folder` and run the program in it; None if this process is not root.

        It is the present owner, if that is not root; otherwise the system's user for PostgreSQL, or the user nobody.
        """
        if os.geteuid() != 0:
            return None
        if folder.exists() and (status := folder.stat()).st_uid != 0:
            return cls(user_name(status.st_uid), status.st_uid, status.st_gid)
        entry = _entry("postgres") or _entry("nobody")
        return cls(entry.pw_name, entry.pw_uid, entry.pw_gid) if entry else cls("nobody", 65534, 65534)

    def become(self) -> Callable[[], None]:
        """Return a `preexec_fn` that turns the child into this user, without any capability or a way to gain one.

        Call this in the parent. The function raises OSError in the child if root may not change users.
        """
        libc = ctypes.CDLL(None, use_errno=True)  # looked up here: the child, just forked, must not load libraries
        header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
        nothing = struct.pack("=6I", 0, 0, 0, 0, 0, 0)  # effective, permitted, inheritable: low words, high words

        def check(result: int, call: str) -> None:
            if result != 0:
                raise OSError(ctypes.get_errno(), call)

        def in_the_child() -> None:
            for capability in range(_CAPABILITIES):
                if libc.prctl(_PR_CAPBSET_READ, capability, 0, 0, 0) == 1:
                    # Root without CAP_SETPCAP may not do this, and need not: the calls below are enough.
                    libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
            os.setgroups([])
            os.setresgid(self.gid, self.gid, self.gid)
            os.setresuid(self.uid, self.uid, self.uid)
            check(libc.capset(header, nothing), "capset")  # inheritable ones as well
            check(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl(PR_SET_NO_NEW_PRIVS)")

        return in_the_child

    def may_run(self, program: Path) -> bool:
        """Return True if this user may pass all folders above `program`, and read and run it."""
        return self._all_grant(stat.S_IXOTH, program.parents) and self._all_grant(
            stat.S_IROTH | stat.S_IXOTH, [program]
        )

    def _all_grant(self, rights: int, paths: Iterable[Path]) -> bool:
        return all(self._rights_on(path) & rights == rights for path in paths)

    def _rights_on(self, path: Path) -> int:
        status = path.stat()
        shift = 6 if status.st_uid == self.uid else 3 if status.st_gid == self.gid else 0
        return status.st_mode >> shift & 0o7


def user_name(uid: int) -> str:
    """Return the user's name, or its number if it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _entry(name: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None
