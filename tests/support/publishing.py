"""Bars sent to a service that goes away and comes back."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from tradingsignals import Bar, TemporaryError

from .publisher import reachable
from .service import RunningService

PATIENCE = 60.0
"""Seconds for a service to come back and take what it is sent."""


async def published(service: RunningService, bars: Sequence[Bar]) -> int:
    """Send bars until they are acknowledged, through whatever happens; returns how far the log has come."""
    async with asyncio.timeout(PATIENCE):
        while True:
            async with service.client() as client:
                try:
                    return (await client.publish_bars(bars, timeout=5.0)).through_sequence
                except TemporaryError:
                    await reachable(service)
