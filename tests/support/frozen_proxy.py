"""Connections that die without a notification, as when a cable is pulled or a firewall drops their state."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from .deadlines import within


class FrozenProxy:
    """A TCP proxy for a local port; connections that exist when it is frozen stay open, but carry no data."""

    def __init__(self, behind: int) -> None:
        self._behind = behind
        self._tasks: list[asyncio.Task[None]] = []
        self._ends: list[asyncio.StreamWriter] = []
        self.connections = 0
        self.port = 0

    def freeze(self) -> None:
        """Stop forwarding data on the present connections, which stay open."""
        for task in self._tasks:
            task.cancel()

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward a connection."""
        self.connections += 1
        self._ends.append(writer)
        behind_reader, behind = await asyncio.open_connection("127.0.0.1", self._behind)
        self._ends.append(behind)
        for source, target in ((reader, behind), (behind_reader, writer)):
            self._tasks.append(asyncio.create_task(self._forward(source, target)))

    async def _forward(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(1 << 16):
                target.write(data)
                await target.drain()
        target.transport.abort()

    async def cut(self) -> None:
        """End all connections."""
        self.freeze()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._ends:
            writer.transport.abort()
            with suppress(OSError):
                await within(writer.wait_closed())


@asynccontextmanager
async def frozen_proxy(behind: int) -> AsyncIterator[FrozenProxy]:
    """Run a proxy until the end of the context."""
    proxy = FrozenProxy(behind)
    server = await asyncio.start_server(proxy.accept, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        await proxy.cut()
