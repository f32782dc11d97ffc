"""Publishing to a service that is restarted."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from tradingsignals import Bar, TemporaryError

from .deadlines import DEADLINE
from .publisher import reachable
from .service import RunningService


async def published(service: RunningService, bars: Sequence[Bar]) -> int:
    """Publish bars with retries until they are acknowledged, and return the newest sequence."""
    async with asyncio.timeout(DEADLINE):
        while True:
            async with service.client() as client:
                try:
                    return (await client.publish_bars(bars, timeout=5.0)).through_sequence
                except TemporaryError:
                    await reachable(service)
