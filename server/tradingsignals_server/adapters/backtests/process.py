"""The processes of backtests: started, bounded, read, and ended with their caller.

A process has a lower priority than the service, a limit of processor time and memory, and a connection to the database
of its own, in transactions that change nothing. It is killed when its caller goes, when its time is over, and by the
kernel when the service dies.
"""

from __future__ import annotations

import asyncio
import pickle
import signal
import sys
import weakref
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable
from contextlib import suppress

from ...application.ports.backtests import BacktestOrder
from ...domain.errors import BacktestFailed, TooManyBacktests
from ..processes.children import die_with_parent
from .frames import read_frame

MAX_RUNNING = 2
"""Backtests that run at once."""
CPU_SECONDS = 600
MEMORY_BYTES = 2 << 30
TIMEOUT_S = 1800.0
"""Limit of elapsed time."""

_READ_BYTES = 1 << 20

Prepare = Callable[[BacktestOrder], object]
"""Returns what the worker needs, pickled: see bootstrap.backtest_worker. Raises InvalidRequest."""


class BacktestProcesses:
    """Starts backtests.

    Args:
        worker: module that is run; it reads a pickled job from stdin, and writes frames to stdout.
        prepare: makes the job of an order.
    """

    def __init__(self, worker: str, prepare: Prepare) -> None:
        self._worker = worker
        self._prepare = prepare
        self._running = 0

    async def start(self, order: BacktestOrder) -> BacktestProcess:
        """See application.ports.backtests.StartBacktest."""
        job = self._prepare(order)
        if self._running >= MAX_RUNNING:
            raise TooManyBacktests(MAX_RUNNING)
        self._running += 1
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", self._worker, str(CPU_SECONDS), str(MEMORY_BYTES)),
                stdin=PIPE,
                stdout=PIPE,
                stderr=DEVNULL,
                limit=_READ_BYTES,
                start_new_session=True,  # Ctrl-C on the terminal is for the service alone
                preexec_fn=die_with_parent(signal.SIGKILL),
            )
        except BaseException:
            self._running -= 1
            raise
        return BacktestProcess(process, pickle.dumps(job), self._ended)

    def _ended(self) -> None:
        self._running -= 1


class BacktestProcess:
    """Implements application.ports.backtests.RunningBacktest."""

    def __init__(self, process: Process, job: bytes, on_end: Callable[[], None]) -> None:
        self._process = process
        self._job: bytes | None = job
        self._deadline = asyncio.get_running_loop().time() + TIMEOUT_S
        # Also if nobody reads on: a caller that has gone drops this object.
        self._end = weakref.finalize(self, _kill, process, on_end)

    async def next(self) -> bytes | None:
        """See RunningBacktest."""
        try:
            async with asyncio.timeout_at(self._deadline):
                await self._send_job()
                response = await read_frame(_of(self._process.stdout))
                if response is None:
                    await self._process.wait()
        except TimeoutError:
            self.end()
            raise BacktestFailed(f"the backtest took longer than {TIMEOUT_S:g} s; choose fewer bars") from None
        except BaseException:
            self.end()
            raise
        if response is None:
            self.end()
            self._require_success()
        return response

    def end(self) -> None:
        """See RunningBacktest."""
        self._end()

    async def _send_job(self) -> None:
        if self._job is None:
            return
        job, self._job = self._job, None
        stdin = self._process.stdin
        if stdin is None:
            raise ValueError("the process has no input")
        with suppress(ConnectionError):  # it has ended; its exit status says why
            stdin.write(job)
            await stdin.drain()
            stdin.close()

    def _require_success(self) -> None:
        status = self._process.returncode
        if status == 0:
            return
        why = f"ended unexpectedly, with exit status {status}"
        if status in {-signal.SIGXCPU, -signal.SIGKILL}:
            why = f"took more than {CPU_SECONDS} s of processor time or {MEMORY_BYTES >> 20} MiB of memory"
        raise BacktestFailed(f"the backtest {why}; choose fewer bars")


def _of(stream: asyncio.StreamReader | None) -> asyncio.StreamReader:
    if stream is None:
        raise ValueError("the process has no output")
    return stream


def _kill(process: Process, on_end: Callable[[], None]) -> None:
    with suppress(ProcessLookupError):
        process.kill()
    on_end()
