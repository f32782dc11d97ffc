"""TLS between the socket of a connection and its protocol: for this, it is as if there were none.

Nothing reaches the protocol before the handshake has succeeded, that is, before the peer has shown its certificate.
Connections without a handshake are bounded: their number, their time, and how many begin in a second.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, cast

from .limits import Limits

_READ_BYTES = 64 * 1024


class Handshakes:
    """The connections whose handshake has not succeeded, the oldest first."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._waiting: dict[TlsProtocol, None] = {}
        self._tokens = float(limits.handshakes)
        self._refilled_at = 0.0

    def __len__(self) -> int:
        return len(self._waiting)

    def begin(self, connection: TlsProtocol, now: float) -> None:
        """Take a new connection; `now` is the loop's time. The oldest is closed for it, or itself if too many came."""
        limits = self._limits
        gained = (now - self._refilled_at) * limits.handshakes_per_second
        self._tokens, self._refilled_at = min(limits.handshakes, self._tokens + gained), now
        if self._tokens < 1.0:
            connection.abort()
            return
        self._tokens -= 1.0
        self._waiting[connection] = None
        if len(self._waiting) > limits.handshakes:
            next(iter(self._waiting)).abort()

    def end(self, connection: TlsProtocol) -> None:
        """Forget a connection whose handshake has succeeded, or that is closed."""
        self._waiting.pop(connection, None)

    def check(self, now: float) -> None:
        """Close those that take too long."""
        self._abort([each for each in self._waiting if now - each.began_at > self._limits.handshake_seconds])

    def abort(self) -> None:
        """Close them all."""
        self._abort(list(self._waiting))

    @staticmethod
    def _abort(connections: Iterable[TlsProtocol]) -> None:
        for each in connections:
            each.abort()


class TlsProtocol(asyncio.Protocol):
    """One connection: bytes of TLS on the side of the socket, plain ones on the side of the protocol above."""

    def __init__(
        self, context: ssl.SSLContext, make_protocol: Callable[[], asyncio.Protocol], handshakes: Handshakes
    ) -> None:
        """Args:
        context: certificate, and whose certificates are accepted.
        make_protocol: makes the protocol above, once the handshake has succeeded.
        handshakes: those that have not.
        """
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._make_protocol = make_protocol
        self._handshakes = handshakes
        self._transport: asyncio.Transport
        self._above: asyncio.Protocol | None = None
        """Absent until the handshake has succeeded."""
        self._is_closing = False
        self.began_at = 0.0

    # --------------------------------------------------------------------------------------- see asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self._transport = cast(asyncio.Transport, transport)
        self.began_at = asyncio.get_running_loop().time()
        self._handshakes.begin(self, self.began_at)

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        if self._is_closing:
            return
        self._incoming.write(data)
        try:
            if self._above is None:
                self._tls.do_handshake()
                self._begin()
            self._read()
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError:
            # The peer gets the alert that says why. Why it failed is not logged: any program that connects causes it.
            self.close()
        self._flush()

    def connection_lost(self, error: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._is_closing = True
        self._handshakes.end(self)
        if self._above is not None:
            self._above.connection_lost(error)

    def pause_writing(self) -> None:
        """See asyncio.Protocol."""
        if self._above is not None:
            self._above.pause_writing()

    def resume_writing(self) -> None:
        """See asyncio.Protocol."""
        if self._above is not None:
            self._above.resume_writing()

    # ------------------------------------------------------------------------------- what the protocol above does

    def write(self, data: bytes) -> None:
        """Encrypt and send."""
        if self._is_closing:
            return
        view = memoryview(data)
        while view:
            view = view[self._tls.write(view) :]
        self._flush()

    def close(self) -> None:
        """Send what is pending and that it ends, then close."""
        self._end()
        self._transport.close()

    def write_eof(self) -> None:
        """Send what is pending and that it ends, then close the sending side."""
        self._end()
        self._transport.write_eof()

    def abort(self) -> None:
        """Close at once."""
        self._is_closing = True
        self._handshakes.end(self)
        self._transport.abort()

    # ------------------------------------------------------------------------------------------------------- steps

    def _begin(self) -> None:
        self._handshakes.end(self)
        self._flush()
        self._above = self._make_protocol()
        self._above.connection_made(_Plain(self, self._transport))

    def _read(self) -> None:
        above = cast(asyncio.Protocol, self._above)
        while not self._is_closing:
            data = self._tls.read(_READ_BYTES)
            if not data:  # the peer ends it
                self.close()
                return
            above.data_received(data)

    def _end(self) -> None:
        if not self._is_closing:
            self._is_closing = True
            with suppress(ssl.SSLError):  # it would wait for the end of the peer, which may never come
                self._tls.unwrap()
            self._flush()

    def _flush(self) -> None:
        if self._outgoing.pending:
            self._transport.write(self._outgoing.read())


class _Plain(asyncio.Transport):
    """The transport of the protocol above: writes are encrypted, all else is that of the socket."""

    def __init__(self, tls: TlsProtocol, transport: asyncio.Transport) -> None:
        super().__init__()
        self._socket = transport
        # Without a method in between: these are what a connection calls.
        self.write = tls.write  # type: ignore[method-assign, assignment]
        self.close = tls.close  # type: ignore[method-assign]
        self.write_eof = tls.write_eof  # type: ignore[method-assign]
        self.abort = tls.abort  # type: ignore[method-assign]
        self.pause_reading = transport.pause_reading  # type: ignore[method-assign]
        self.resume_reading = transport.resume_reading  # type: ignore[method-assign]
        self.get_write_buffer_size = transport.get_write_buffer_size  # type: ignore[method-assign]
        self.set_write_buffer_limits = transport.set_write_buffer_limits  # type: ignore[method-assign]

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """See asyncio.BaseTransport."""
        return self._socket.get_extra_info(name, default)
