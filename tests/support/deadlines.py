"""Deadlines for every wait."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

DEADLINE = 30.0
"""Seconds for a wait; on a busy machine each takes a second or two."""

T = TypeVar("T")


async def within(awaitable: Awaitable[T], seconds: float = DEADLINE) -> T:
    """Return the result of `awaitable`; TimeoutError if it takes longer than the deadline."""
    async with asyncio.timeout(seconds):
        return await awaitable
