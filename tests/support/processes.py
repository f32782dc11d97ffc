"""Child processes and their state."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tradingsignals_server.adapters.processes.exits import wait_for_exit

from .deadlines import within


@dataclass(frozen=True, slots=True)
class Process:
    """A process, identified by its id and start time, because an id can be reused."""

    pid: int
    name: str
    started: int

    @property
    def runs(self) -> bool:
        """Whether it has not exited; a zombie has exited."""
        status = _status(self.pid)
        return status is not None and status[0] == self


def children(pid: int) -> list[Process]:
    """Return the running children of `pid`."""
    return [process for process, parent in _all() if parent == pid]


def descendants(pid: int) -> list[Process]:
    """Return the running descendants of `pid`."""
    processes = _all()
    found: list[Process] = []
    parents = {pid}
    while parents:
        below = [process for process, parent in processes if parent in parents]
        found += below
        parents = {process.pid for process in below}
    return found


def running() -> list[Process]:
    """Return every running process."""
    return [process for process, _ in _all()]


def with_command(processes: Iterable[Process], text: str) -> list[Process]:
    """Return those of `processes` that have `text` in an argument of their command, such as "backtest_worker"."""
    found = []
    for process in processes:
        with suppress(OSError):  # it has ended meanwhile
            if text.encode() in Path(f"/proc/{process.pid}/cmdline").read_bytes():
                found.append(process)
    return found


def listener(address: str) -> int:
    """Return the process that listens at an address."""
    port = f":{int(address.rpartition(':')[2]):04X}"
    rows = [line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]]
    listening = {f"socket:[{row[9]}]" for row in rows if row[1].endswith(port) and row[3] == "0A"}
    for entry in Path("/proc").iterdir():
        with suppress(OSError):  # it has just ended, or closed it
            if entry.name.isdecimal() and any(str(fd.readlink()) in listening for fd in (entry / "fd").iterdir()):
                return int(entry.name)
    raise AssertionError(f"no process listens on {address}")


async def all_ended(processes: Iterable[Process]) -> None:
    """Wait until all of them have exited."""
    for process in processes:
        if process.runs:
            await within(wait_for_exit(process.pid))


def _all() -> list[tuple[Process, int]]:
    """Return every running process, with its parent."""
    entries = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal())
    return [status for pid in entries if (status := _status(pid)) is not None]


def _status(pid: int) -> tuple[Process, int] | None:
    with suppress(OSError):  # it has just ended
        text = Path(f"/proc/{pid}/stat").read_text()
        name = text[text.index("(") + 1 : text.rindex(")")]
        state, parent, *rest = text[text.rindex(")") + 2 :].split()
        if state not in "ZX":
            return Process(pid, name, int(rest[17])), int(parent)
    return None
