"""Worker processes: each computes for one caller, apart from the service, and writes frames with its responses.

A worker has a lower priority than the service, a limit of processor time and memory, and a connection to the database
of its own, in transactions that change nothing. It is killed when its caller goes, when its time is over, and by the
kernel when the service dies.

It is started by a thread, without a `preexec_fn`: so Python uses vfork, and the event loop is not blocked while a large
process is copied and the new program begins, which takes a tenth of a second on a loaded machine.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import resource
import signal
import sys
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from subprocess import DEVNULL, PIPE, Popen
from tempfile import TemporaryFile
from typing import Any, Self

from ...domain.errors import ServiceError
from .children import follow_parent
from .frames import read_frame

NICENESS = 15

_READ_BYTES = 1 << 20

_STARTER = ThreadPoolExecutor(1, "workers")
"""It lasts: to the kernel, the parent of a process is the thread that started it."""


@dataclass(frozen=True, slots=True)
class WorkerKind:
    """A kind of worker, and its limits.

    module: is run; it calls `worker_job`, and writes frames to stdout.
    subject, advice: such as "the backtest" and "choose fewer bars", for errors.
    timeout_s: limit of elapsed time.
    failed: makes the error of a worker that ended without a result.
    """

    module: str
    subject: str
    advice: str
    cpu_seconds: int
    memory_bytes: int
    timeout_s: float
    failed: Callable[[str], ServiceError]


def worker_job() -> Any:
    """Limit this process as the arguments of the program say, and return its job, which the service has pickled."""
    cpu_seconds, memory_bytes, parent = map(int, sys.argv[1:])
    follow_parent(signal.SIGKILL, parent)
    os.nice(NICENESS)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds + 1))
    resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
    return pickle.load(sys.stdin.buffer)  # noqa: S301 - the service wrote it


class WorkerProcess:
    """A worker that runs. Implements application.ports.backtests.RunningBacktest."""

    def __init__(
        self, kind: WorkerKind, process: Popen[bytes], output: asyncio.StreamReader, on_end: Callable[[], None]
    ) -> None:
        self._kind = kind
        self._process = process
        self._output = output
        self._deadline = asyncio.get_running_loop().time() + kind.timeout_s
        # Also if no caller reads on: one that has gone drops this object.
        self._end = weakref.finalize(self, _kill, process, on_end)

    @classmethod
    async def start(cls, kind: WorkerKind, job: object, on_end: Callable[[], None]) -> Self:
        """Start a worker with a job; `on_end` is called once, however it ends, and if it does not start."""
        loop = asyncio.get_running_loop()
        starting = loop.run_in_executor(_STARTER, _started, kind, job)
        try:
            process = await asyncio.shield(starting)
        except BaseException:
            # A caller that goes meanwhile leaves a process, which is ended as soon as it is there.
            starting.add_done_callback(lambda done: _abandon(done, on_end))
            raise
        output = asyncio.StreamReader(_READ_BYTES)
        worker = cls(kind, process, output, on_end)
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(output), process.stdout)
        return worker

    async def next(self) -> bytes | None:
        """Return the next response; None after the last. A cancellation ends the worker.

        Raises:
            ServiceError: it ended without a result.
        """
        kind = self._kind
        try:
            async with asyncio.timeout_at(self._deadline):
                response = await read_frame(self._output)
                status = None if response is not None else await asyncio.to_thread(self._process.wait)
        except TimeoutError:
            self.end()
            raise kind.failed(f"{kind.subject} took longer than {kind.timeout_s:g} s; {kind.advice}") from None
        except BaseException:
            self.end()
            raise
        if status is not None:
            self.end()
            self._require_success(status)
        return response

    def end(self) -> None:
        """End it now, if it still runs."""
        self._end()

    def _require_success(self, status: int) -> None:
        kind = self._kind
        if status == 0:
            return
        why = f"ended unexpectedly, with exit status {status}"
        if status in {-signal.SIGXCPU, -signal.SIGKILL}:
            memory = kind.memory_bytes >> 20
            why = f"took more than {kind.cpu_seconds} s of processor time or {memory} MiB of memory"
        raise kind.failed(f"{kind.subject} {why}; {kind.advice}")


def _started(kind: WorkerKind, job: object) -> Popen[bytes]:
    limits = (str(kind.cpu_seconds), str(kind.memory_bytes), str(os.getpid()))
    with TemporaryFile() as file:
        pickle.dump(job, file)
        file.seek(0)
        return Popen(
            (sys.executable, "-P", "-m", kind.module, *limits),
            stdin=file,
            stdout=PIPE,
            stderr=DEVNULL,
            start_new_session=True,  # Ctrl-C on the terminal is for the service alone
        )


def _abandon(starting: asyncio.Future[Popen[bytes]], on_end: Callable[[], None]) -> None:
    if starting.cancelled() or starting.exception() is not None:
        on_end()
    else:
        _kill(starting.result(), on_end)


def _kill(process: Popen[bytes], on_end: Callable[[], None]) -> None:
    process.kill()
    _STARTER.submit(process.wait)
    on_end()
