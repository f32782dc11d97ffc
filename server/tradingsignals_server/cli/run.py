"""How a command runs: on an event loop, until it ends or a signal ends it."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Coroutine
from typing import Any

import uvloop

GC_THRESHOLDS = 50_000, 20, 50
"""Thresholds of the garbage collector. A call leaves no cycles, but Python's own thresholds cost 64 callers 6% of the
processor time, and a pause of 70 ms every few thousand calls; with these, cycles take a few megabytes."""


ERROR_CODE = "tradingsignals.error_code"
"""Key in the `meta` of click's context: the exit code of an error, of a command for which it is not 1."""


def run(work: Coroutine[Any, Any, int | None]) -> int:
    """Run `work`, which has no end of its own, until a signal ends it; return its exit code, 0 if a signal did."""
    return _run(work)[0]


def run_task(work: Coroutine[Any, Any, int | None]) -> int:
    """Run `work` to its end; return its exit code, or 128 and the number of the signal that ended it before."""
    code, signalled = _run(work)
    return 128 + signalled if signalled is not None else code


def _run(work: Coroutine[Any, Any, int | None]) -> tuple[int, int | None]:
    gc.set_threshold(*GC_THRESHOLDS)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_until_signalled(work))


async def _until_signalled(work: Coroutine[Any, Any, int | None]) -> tuple[int, int | None]:
    """Return the exit code, and the signal that ended the work before it was done."""
    task = asyncio.ensure_future(work)
    signalled: list[int] = []

    def stop(number: int) -> None:
        if not signalled:
            signalled.append(number)
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop, number)
    try:
        return await task or 0, None
    except asyncio.CancelledError:
        if not signalled:
            raise
        return 0, signalled[0]
