"""Deadlines for every wait."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

DEADLINE = 90.0
"""Seconds for a wait. Each takes a second or two, and many times that on a machine that does much else."""

T = TypeVar("T")


async def within(awaitable: Awaitable[T], seconds: float = DEADLINE) -> T:
    """Return the result of `awaitable`; TimeoutError if it takes longer than the deadline."""
    async with asyncio.timeout(seconds):
        return await awaitable


async def until(find: Callable[[], Awaitable[T]]) -> T:
    """Wait until `find` returns something that is true, and return it."""
    async with asyncio.timeout(2 * DEADLINE):
        while not (found := await find()):
            await poll()
    return found


async def poll() -> None:
    """Pause between two looks at what gives no event to await; without a pause, looking takes a core of its own."""
    await asyncio.sleep(0.02)
