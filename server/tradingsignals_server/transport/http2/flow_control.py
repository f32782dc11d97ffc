"""Flow control of one connection (RFC 9113, 5.2 and 6.9). The window of each stream is kept with the stream."""

from __future__ import annotations

from typing import Final

from . import frames
from .errors import ErrorCode, Http2ConnectionError

RECEIVE_WINDOW: Final = 1 << 20
"""Bytes of requests that a peer may send on the connection before it must wait for WINDOW_UPDATE."""


class FlowControl:
    """The windows of a connection, and whether its socket takes more bytes."""

    __slots__ = ("_granted_bytes", "_unreturned_bytes", "initial_stream_window", "paused", "window")

    def __init__(self) -> None:
        # Sending.
        self.window = frames.DEFAULT_WINDOW
        """Bytes of DATA that may be sent on the connection."""
        self.initial_stream_window = frames.DEFAULT_WINDOW
        """The window of a new stream."""
        self.paused = False
        """True while the buffer of the socket is full; no DATA is written then."""
        self._granted_bytes = frames.DEFAULT_WINDOW
        # Receiving.
        self._unreturned_bytes = 0

    @property
    def is_open(self) -> bool:
        """True if DATA may be written now: the socket takes it and the window of the connection is open."""
        return self.window > 0 and not self.paused

    @property
    def sent_bytes(self) -> int:
        """Bytes of DATA sent so far."""
        return self._granted_bytes - self.window

    def enlarge(self, increment: int) -> None:
        """Apply WINDOW_UPDATE of the connection.

        Raises:
            Http2ConnectionError: the window overflows.
        """
        self._granted_bytes += increment
        self.window += increment
        require_window(self.window)

    def change_initial_stream_window(self, size: int) -> int:
        """Apply SETTINGS_INITIAL_WINDOW_SIZE; return what the window of each open stream grows by, maybe below 0."""
        growth, self.initial_stream_window = size - self.initial_stream_window, size
        return growth

    def receive(self, size: int) -> int:
        """Count received DATA, padding included; return the increment to grant by WINDOW_UPDATE, 0 if none is due."""
        self._unreturned_bytes += size
        if self._unreturned_bytes < RECEIVE_WINDOW // 2:
            return 0
        increment, self._unreturned_bytes = self._unreturned_bytes, 0
        return increment


def require_window(size: int) -> None:
    """Check the size of a window that was enlarged.

    Raises:
        Http2ConnectionError: it is larger than a window may be.
    """
    if size > frames.MAX_WINDOW:
        raise Http2ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, "a window that is too large")
