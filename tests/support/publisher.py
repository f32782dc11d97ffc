"""A publisher that retries until its bars are acknowledged."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import grpc

from tradingsignals import Bar, TemporaryError

from .deadlines import poll
from .service import RunningService

BARS_A_CALL = 100


class Publisher:
    """Publishes bars call by call, with retries until acknowledgement; a test can pause it between calls.

    By itself it holds on when it learns that the log has reached `hold_at`, if that is given.
    """

    def __init__(self, service: RunningService, bars: Sequence[Bar]) -> None:
        self._service = service
        self._bars = bars
        self._may_go_on = asyncio.Event()
        self._may_go_on.set()
        self.total = len(bars)
        self.acknowledged = 0
        self.hold_at: int | None = None

    async def run(self) -> None:
        """Publish until all bars are acknowledged."""
        async with self._service.client() as client:
            while self.acknowledged < len(self._bars):
                await self._may_go_on.wait()
                calling = self._bars[self.acknowledged : self.acknowledged + BARS_A_CALL]
                try:
                    response = await client.publish_bars(calling, timeout=10.0)
                except TemporaryError:
                    await reachable(self._service)
                    continue
                assert (response.received, response.rejected, response.late) == (len(calling), 0, 0)
                self.acknowledged += len(calling)
                if self.hold_at is not None and response.through_sequence >= self.hold_at:
                    self.pause()

    def pause(self) -> None:
        """Pause before the next call until `go_on`."""
        self._may_go_on.clear()

    def go_on(self) -> None:
        """End the pause."""
        self._may_go_on.set()


async def reachable(service: RunningService) -> None:
    """Wait until the public port accepts connections, after a pause: it does so as well while the server is away."""
    await poll()
    options = [("grpc.initial_reconnect_backoff_ms", 20), ("grpc.max_reconnect_backoff_ms", 50)]
    async with grpc.aio.insecure_channel(service.address, options=options) as channel:
        await channel.channel_ready()


async def committed(service: RunningService, sequence: int) -> int:
    """Wait until the log has reached a sequence, and return its newest one. It polls the server directly."""
    async with service.direct_client() as client:
        while (newest := (await client.service_info()).through_sequence) < sequence:
            await poll()
    return newest
