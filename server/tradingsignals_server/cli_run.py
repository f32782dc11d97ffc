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
    """Run `work` until it ends or a signal ends it, which is a normal way to end."""
    gc.set_threshold(*GC_THRESHOLDS)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_until_signalled(work))


async def _until_signalled(work: Coroutine[Any, Any, int | None]) -> int:
    task = asyncio.ensure_future(work)
    signalled: list[int] = []

    def stop(number: int) -> None:
        if not signalled:
            signalled.append(number)
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop, number)
    try:
        return await task or 0
    except asyncio.CancelledError:
        if not signalled:
            raise
        return 0
