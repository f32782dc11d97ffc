"""One stream of a connection of HTTP/2, the server's side: what was sent on it, and what may be."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Protocol

from . import frames
from .frames import ErrorCode
from .headers import Request
from .limits import Limits

if TYPE_CHECKING:
    from .connection import Connection


class Listener(Protocol):
    """Who is told what comes in."""

    def connected(self, connection: Connection) -> None:
        """The connection is there."""

    def disconnected(self, connection: Connection) -> None:
        """It is gone; its streams have been told of already."""

    def requested(self, stream: Stream, request: Request) -> None:
        """A stream was opened."""

    def received(self, stream: Stream, body: bytes, *, ends: bool) -> None:
        """A part of its request has come."""

    def overdue(self, stream: Stream) -> None:
        """The request has not come to its end in time: end the stream."""

    def gone(self, stream: Stream) -> None:
        """The stream was ended by the peer, or the connection is lost."""

    def drained(self, stream: Stream) -> None:
        """All that was left to send on a stream is sent."""

    def writable(self, connection: Connection) -> None:
        """The connection may be written to again."""


class Stream:
    """One stream. `window` is how many bytes may be sent on it; `rest` what of a message could not be sent yet."""

    __slots__ = (
        "_drained",
        "_last",
        "call",
        "connection",
        "content_length",
        "ended_at",
        "left_bytes",
        "number",
        "opened_at",
        "received_bytes",
        "requested",
        "rest",
        "tag",
        "window",
    )

    def __init__(
        self, connection: Connection, number: int, window: int, opened_at: float, content_length: int | None = None
    ) -> None:
        self.connection = connection
        self.number = number
        self.tag = number.to_bytes(4, "big")
        self.window = window
        self.opened_at = opened_at
        self.requested = False
        """True once the request is whole."""
        self.content_length = content_length
        """Bytes of the request that are still to come, if its headers say so."""
        self.received_bytes = 0
        """Bytes of a request that is not whole yet."""
        self.rest: memoryview | None = None
        self.ended_at: float | None = None
        """When we ended it, by the loop's clock; it is there until all is sent."""
        self.left_bytes = 0
        """What was left to send then."""
        self.call: Any = None
        """What the listener keeps with it."""
        self._last: bytes | None = None
        self._drained: asyncio.Future[None] | None = None

    @property
    def is_open(self) -> bool:
        """True until the stream has ended for us, whoever ended it."""
        return self._last is None and self.connection.streams.get(self.number) is self

    def send_headers(self, block: bytes) -> None:
        """Send the headers of the answer."""
        self.connection.write(self.connection.header_frames(self.number, block, ends=False))

    def send_whole(self, block: bytes, message: bytes, last_block: bytes) -> bool:
        """Send a small answer whole, with its headers and trailers; False, and nothing sent, if it must be cut."""
        length, connection = len(message), self.connection
        if connection.paused or length > min(self.window, connection.window, frames.FRAME_BYTES):
            return False
        self.window -= length
        connection.window -= length
        self._last = last_block
        head = connection.header_frames(self.number, block, ends=False)
        data = (frames.frame_head(frames.DATA, 0, length), self.tag, message)
        connection.write_soon(b"".join((head, *data, frames.header_frames(self.number, last_block, ends=True))))
        connection.forget(self)
        return True

    def send(self, message: bytes) -> None:
        """Send as much of a message as the windows let through, and the rest as they open. There must be no rest."""
        self.rest = memoryview(message)
        self.flush()

    def finish(self, block: bytes) -> None:
        """End the stream with these trailers, once what is left to send is sent."""
        self._last = block
        self.ended_at = asyncio.get_running_loop().time()
        self.left_bytes = 0 if self.rest is None else len(self.rest)
        self.flush()

    def is_overdue(self, now: float, limits: Limits) -> bool:
        """True if it has ended and the peer takes what is left too slowly."""
        if self.ended_at is None:
            return False
        allowed = limits.keepalive_timeout_seconds + self.left_bytes / limits.untaken_bytes_per_second
        return now - self.ended_at > allowed

    async def drain(self) -> None:
        """Wait until nothing is left to send, or the stream has ended."""
        while self.rest is not None and self.is_open:
            self._drained = asyncio.get_running_loop().create_future()
            await self._drained

    def reset(self, code: ErrorCode) -> None:
        """End the stream at once."""
        self.connection.write(frames.rst_stream(self.number, code))
        self.connection.forget(self)

    def flush(self) -> None:
        """Send what is left, as far as that is possible now."""
        connection = self.connection
        out: list[bytes] = []
        rest = self.rest
        while rest is not None and not connection.paused:
            length = min(len(rest), self.window, connection.window, frames.FRAME_BYTES)
            if length <= 0:
                break
            out += (frames.frame_head(frames.DATA, 0, length), self.tag, bytes(rest[:length]))
            self.window -= length
            connection.window -= length
            rest = rest[length:] if length < len(rest) else None
        self.rest = rest
        if rest is not None:
            connection.owing[self] = None
        elif self._last is not None:
            out.append(connection.header_frames(self.number, self._last, ends=True))
            if not self.requested:
                out.append(frames.rst_stream(self.number, ErrorCode.NO_ERROR))  # the request is not needed any more
        if out:
            connection.write(b"".join(out))
        if rest is None:
            if self._last is not None:
                connection.forget(self)
            elif connection.owing.pop(self, self) is None:
                connection.tell_drained(self)
            self.wake()

    def wake(self) -> None:
        """Let whoever waits for the rest to be sent go on."""
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
