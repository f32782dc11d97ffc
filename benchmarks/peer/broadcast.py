"""The older design's WebSockets: one loop takes signal after signal and sends it to one client after the other."""

from __future__ import annotations

import asyncio

from fastapi import WebSocket, WebSocketDisconnect

from .messages import Signal


class Hub:
    """Everyone who is connected, and the signals that are still to be sent to them. Run `run` in a task."""

    def __init__(self) -> None:
        self._sockets: set[WebSocket] = set()
        self._waiting: asyncio.Queue[Signal] = asyncio.Queue()

    def publish(self, signal: Signal) -> None:
        """Have `signal` sent to everyone."""
        if self._sockets:
            self._waiting.put_nowait(signal)

    async def run(self) -> None:
        """Send what is published, until cancelled. JSON is made once a signal."""
        while True:
            text = (await self._waiting.get()).model_dump_json()
            for socket in list(self._sockets):
                try:
                    await socket.send_text(text)
                except (RuntimeError, WebSocketDisconnect):
                    self._sockets.discard(socket)

    async def follow(self, socket: WebSocket) -> None:
        """Keep a client among the receivers until it goes."""
        await socket.accept()
        self._sockets.add(socket)
        try:
            while True:
                await socket.receive_text()
        except WebSocketDisconnect:
            pass
        finally:
            self._sockets.discard(socket)
