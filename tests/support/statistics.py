"""Statistics of a service on a machine that does much else.

They are computed by a process of low priority, and refused if that does not get to it in time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import httpx

from tradingsignals import Overloaded

from .deadlines import DEADLINE

PERFORMANCE = "/api/signals/performance"

T = TypeVar("T")


async def computed(call: Callable[[], Awaitable[T]]) -> T:
    """Return the result of a call for statistics, which is repeated until they are computed in time."""
    async with asyncio.timeout(2 * DEADLINE):
        while True:
            try:
                return await call()
            except Overloaded:
                continue


async def computed_over_rest(rest: httpx.AsyncClient, **query: str | list[str]) -> httpx.Response:
    """Return the response with statistics, as soon as they are computed in time."""
    async with asyncio.timeout(2 * DEADLINE):
        while (response := await rest.get(PERFORMANCE, params=query)).status_code == 429:
            pass
    return response.raise_for_status()
