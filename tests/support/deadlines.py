"""Nothing is waited for without an end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

DEADLINE = 30.0
"""Seconds for anything that is waited for; on a busy machine everything here takes a second or two."""

T = TypeVar("T")


async def within(awaitable: Awaitable[T], seconds: float = DEADLINE) -> T:
    """What `awaitable` gives, if it comes in time; TimeoutError if not."""
    async with asyncio.timeout(seconds):
        return await awaitable
