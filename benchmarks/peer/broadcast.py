"""The older design's WebSockets: one loop sends each signal to one client after the other."""

from __future__ import annotations

import asyncio

from fastapi import WebSocket, WebSocketDisconnect

from .messages import Signal


class Hub:
    """The connected clients, and the signals that are still to be sent to them. Run `run` in a task."""

    def __init__(self) -> None:
        self._sockets: set[WebSocket] = set()
        self._waiting: asyncio.Queue[Signal] = asyncio.Queue()

    def publish(self, signal: Signal) -> None:
        """Queue `signal` for all clients."""
        if self._sockets:
            self._waiting.put_nowait(signal)

    async def run(self) -> None:
        """Send the queued signals until cancelled. Each is encoded as JSON once."""
        while True:
            text = (await self._waiting.get()).model_dump_json()
            for socket in list(self._sockets):
                try:
                    await socket.send_text(text)
                except (RuntimeError, WebSocketDisconnect):
                    self._sockets.discard(socket)

    async def follow(self, socket: WebSocket) -> None:
        """Keep a client among the receivers until it disconnects."""
        await socket.accept()
        self._sockets.add(socket)
        try:
            while True:
                await socket.receive_text()
        except WebSocketDisconnect:
            pass
        finally:
            self._sockets.discard(socket)
