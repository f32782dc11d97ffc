"""What bounds the work and memory that one peer can cause (RFC 9113, 10.5); the table in README.md has the limits.

A frame that leads to no response spends tokens. A well-behaved peer earns more than it spends: by the requests that it
completes, and by the bytes of responses that it takes.
"""

from __future__ import annotations

from typing import Final

from .errors import ErrorCode, Http2ConnectionError
from .flow_control import FlowControl
from .limits import Limits
from .stream import Stream

REQUEST_TOKENS: Final = 4.0
"""Earned by a complete request, which its client may send in several frames."""
STREAM_ERROR_TOKENS: Final = 8.0
"""Spent by a stream error: more than its request earned, so that stream errors always cost tokens."""
BYTES_PER_TOKEN: Final = 64
"""Bytes of DATA sent that earn a token: the peer returns them by WINDOW_UPDATE."""
SETTINGS_PER_TOKEN: Final = 8
STREAMS_PER_TOKEN: Final = 64
"""Streams whose window a SETTINGS frame changes, for a token."""


class FrameBudget:
    """A token bucket for frames that lead to no response."""

    __slots__ = ("_burst", "_counted_bytes", "_flow", "_level", "_per_second", "_updated_at")

    def __init__(self, limits: Limits, flow: FlowControl, now: float) -> None:
        """`flow` counts the bytes of DATA that the peer takes; `now` is in seconds on any monotonic clock."""
        self._burst = self._level = float(limits.idle_frames)
        self._per_second = limits.idle_frames_per_second
        self._flow = flow
        self._updated_at = now
        self._counted_bytes = 0

    def earn(self, tokens: float) -> None:
        """Add tokens."""
        self._level += tokens

    def spend(self, tokens: float, now: float) -> None:
        """Take tokens.

        Raises:
            Http2ConnectionError: there are too few.
        """
        sent_bytes = self._flow.sent_bytes
        earned = (sent_bytes - self._counted_bytes) / BYTES_PER_TOKEN + (now - self._updated_at) * self._per_second
        self._counted_bytes, self._updated_at = sent_bytes, now
        self._level = min(self._burst, self._level + earned) - tokens
        if self._level < 0.0:
            raise Http2ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, "too many frames that lead to no response")


class IncompleteRequests:
    """Streams whose request has not ended, the oldest first, and streams that ended before their request did.

    What still comes on a stream that was ended before its request is ignored (RFC 9113, 5.1): the peer may have sent it
    before it knew.
    """

    __slots__ = ("_bytes", "_closed_early", "_max_closed_early", "_streams")

    def __init__(self, max_closed_early: int) -> None:
        """At most `max_closed_early` streams that ended early are remembered; the oldest is forgotten first."""
        self._streams: dict[Stream, None] = {}
        self._bytes = 0
        self._closed_early: dict[int, None] = {}
        self._max_closed_early = max_closed_early

    def __len__(self) -> int:
        return len(self._streams)

    def add(self, stream: Stream) -> None:
        """Count a new stream."""
        self._streams[stream] = None

    def receive(self, stream: Stream, size: int) -> None:
        """Count bytes of a request that goes on."""
        stream.received_bytes += size
        self._bytes += size

    def remove(self, stream: Stream) -> None:
        """Forget a stream whose request has ended."""
        del self._streams[stream]
        self._bytes -= stream.received_bytes

    def excess(self, max_bytes: int) -> list[Stream]:
        """Return the oldest streams without which the others hold at most `max_bytes`."""
        found, held = [], self._bytes
        for stream in self._streams if held > max_bytes else ():
            if held <= max_bytes:
                break
            held -= stream.received_bytes
            found.append(stream)
        return found

    def overdue(self, opened_before: float) -> list[Stream]:
        """Return the streams opened at that time or before."""
        found = []
        for stream in self._streams:
            if stream.opened_at > opened_before:
                break
            found.append(stream)
        return found

    def close_early(self, stream_id: int) -> None:
        """Remember a stream that was ended before its request."""
        self._closed_early[stream_id] = None
        if len(self._closed_early) > self._max_closed_early:
            del self._closed_early[next(iter(self._closed_early))]

    def is_closed_early(self, stream_id: int) -> bool:
        """Return whether frames of this stream are to be ignored."""
        return stream_id in self._closed_early

    def forget_early(self, stream_id: int) -> None:
        """Forget a stream that ended early, since the peer has ended it too."""
        self._closed_early.pop(stream_id, None)
