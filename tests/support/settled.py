"""A service whose log does not grow any more by itself."""

from __future__ import annotations

import asyncio

from tradingsignals import AsyncClient

from .deadlines import DEADLINE, poll


async def settled(client: AsyncClient) -> int:
    """Wait until outcomes and account have followed the log to its end, and return its newest sequence.

    The keeper appends outcomes to the log a quarter of a second after the bars that they follow from, or later.
    """
    async with asyncio.timeout(DEADLINE):
        while True:
            followed = (await client.get_account()).through_sequence
            newest = (await client.service_info()).through_sequence
            if followed >= newest:
                return newest
            await poll()
