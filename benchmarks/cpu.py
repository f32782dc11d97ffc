"""Processor time of the measured processes, which other load on the machine blurs much less than elapsed time."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Generic

from .measure import Figure, Older, Outcome, Outcome_co, Target, ratio

SERVER, ENVOY, POSTGRES = "server", "Envoy", "PostgreSQL"

PROC = Path("/proc")
_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
_PROCESS_CLOCK = 2
"""Kind of the Linux clock that counts the processor time of a process (CPUCLOCK_SCHED)."""


@dataclass(frozen=True, slots=True)
class ProcessStat:
    """A process as /proc/PID/stat describes it. `reaped` is the processor time of children that ended, in seconds."""

    pid: int
    name: str
    parent: int
    reaped: float


def parse_stat(text: str) -> ProcessStat:
    """Read the text of /proc/PID/stat. The name may contain spaces and parentheses."""
    pid, _, rest = text.partition(" (")
    name, _, fields = rest.rpartition(") ")
    _, parent, *others = fields.split()
    # Fields 16 and 17: cutime and cstime.
    return ProcessStat(int(pid), name, int(parent), (int(others[11]) + int(others[12])) / _TICKS_A_SECOND)


@dataclass(frozen=True, slots=True)
class Processes:
    """A service under measurement: its process and the postmaster of its database, with all their descendants."""

    service: int
    postmaster: int

    def cpu_seconds(self) -> Mapping[str, float]:
        """Processor time so far, in seconds, of the server, Envoy and PostgreSQL; empty on a system without /proc."""
        roots = {self.service, self.postmaster}
        processes = {process.pid: process for process in _all_processes()}
        used: defaultdict[str, float] = defaultdict(float)
        for process in processes.values():
            ancestor = process
            while ancestor.pid not in roots and ancestor.parent in processes:
                ancestor = processes[ancestor.parent]
            if ancestor.pid in roots:
                with suppress(OSError):  # it has ended meanwhile
                    used[_program(process)] += _own_seconds(process.pid) + process.reaped
        return used


def _program(process: ProcessStat) -> str:
    if process.name.startswith("envoy"):
        return ENVOY
    return POSTGRES if process.name.startswith("postgres") else SERVER


def _all_processes() -> Iterator[ProcessStat]:
    for folder in PROC.iterdir() if PROC.exists() else ():
        if folder.name.isdigit():
            with suppress(OSError):
                yield parse_stat((folder / "stat").read_text())


def _own_seconds(pid: int) -> float:
    # The identifier that clock_getcpuclockid returns. The clock includes threads that have ended, in nanoseconds.
    return time.clock_gettime(~pid << 3 | _PROCESS_CLOCK)


@dataclass(frozen=True, slots=True)
class Metered(Generic[Outcome_co]):
    """The result of a measurement, and the processor time in seconds that each program used meanwhile."""

    result: Outcome_co
    cpu_seconds: Mapping[str, float]


async def metered(processes: Processes, measured: Callable[[], Awaitable[Outcome]]) -> Metered[Outcome]:
    """Measure, and count the processor time of `processes`."""
    before = processes.cpu_seconds()
    result = await measured()
    after = processes.cpu_seconds()
    return Metered(result, {program: after[program] - before.get(program, 0.0) for program in after})


Cpu = Sequence[tuple[Mapping[str, float], float]]
"""For each run the processor time in seconds by program, and how many calls, bars or events it was used for."""


def cpu_figures(what: str, cpu: Cpu, older: Mapping[str, Cpu] | None = None) -> list[Figure]:
    """The figure of the server's processor time for one of them; that of Envoy and PostgreSQL is beside it.

    `older` is the same of the older design, by variant. Empty if the system does not report processor time,
    or a run has nothing to divide it by.
    """
    if not all(seconds and count for seconds, count in cpu):
        return []
    besides = {program: median(_milliseconds(cpu, program)) for program in (ENVOY, POSTGRES)}
    theirs = {name: Older(_milliseconds(runs, SERVER)) for name, runs in (older or {}).items()}
    return [Figure(what, "ms CPU", _milliseconds(cpu, SERVER), besides=besides, older=theirs)]


def compared(what: str, sides: Mapping[str, Cpu], plain: str, target: Target) -> list[Figure]:
    """Figures of the processor time of server and edge for one of them on each side, and its ratio to that of the side
    `plain`."""
    costs = {
        name: [sum(pair) for pair in zip(_milliseconds(cpu, SERVER), _milliseconds(cpu, ENVOY), strict=True)]
        for name, cpu in sides.items()
    }
    return [
        *(Figure(f"{what}, {name}: server and edge", "ms CPU", runs) for name, runs in costs.items()),
        *(
            ratio(f"{what}: {name} to {plain}", runs, costs[plain], target)
            for name, runs in costs.items()
            if name != plain
        ),
    ]


def _milliseconds(cpu: Cpu, program: str) -> list[float]:
    return [seconds.get(program, 0.0) * 1e3 / count for seconds, count in cpu]
