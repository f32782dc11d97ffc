"""Limits of one connection, and of one server."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one connection, but for `connections`. The table in README.md of this folder says what each bounds."""

    # Streams and headers.
    streams: int = 10_000
    """Concurrent streams; a further one is refused and may be retried (REFUSED_STREAM)."""
    header_block_bytes: int = 96 * 1024
    """A header block, encoded or decoded. It is more than an edge forwards, as exceeding it is a connection error."""
    header_bytes: int = 16 * 1024
    """The headers, or trailers, of one request, decoded, each with the 32 bytes of RFC 9113, 6.5.2."""

    # Requests.
    incomplete_request_bytes: int = 8 * 1024 * 1024
    """Bytes of requests that have not ended; beyond that the oldest of them are ended."""
    request_seconds: float = 10.0
    """Time from the first frame of a request, or of a header block, to its last."""

    # Processing time.
    turn_seconds: float = 0.005
    """How long frames of one connection are processed before everything else on the event loop has its turn."""
    idle_frames: int = 20_000
    """Frames in a burst that lead to no response, such as PING, SETTINGS, WINDOW_UPDATE, empty DATA."""
    idle_frames_per_second: float = 1_000.0
    """How many more of them are allowed as time passes."""

    # Responses that the peer does not take.
    buffer_bytes: int = 64 * 1024
    """Bytes pending for the socket beyond which no DATA is written."""
    response_bytes: int = 1024 * 1024
    """Bytes pending for the socket beyond which nothing more is read from it."""
    min_bytes_per_second: float = 4_096.0
    """How fast a peer must take what is pending of a response that has ended."""

    # Silence.
    preface_seconds: float = 5.0
    """Time from the start of a connection to its first SETTINGS frame."""
    keepalive_seconds: float = 30.0
    """Silence after which a PING is sent."""
    keepalive_timeout_seconds: float = 10.0
    """Time to acknowledge that PING, and to take the last bytes of a connection that is closed."""
    unused_seconds: float = 300.0
    """Time without a stream after which a connection is closed."""
    connections: int = 2_000
    """Connections of one server; the oldest without a stream is closed for a new one."""

    # Handshakes of TLS, if it is used: connections of which nothing is known yet.
    handshakes: int = 200
    """How many at a time; the oldest is closed for a new one."""
    handshakes_per_second: float = 100.0
    """How many may begin in a second, as each costs a signature; `handshakes` of them at once."""
    handshake_seconds: float = 5.0
    """Time from the start of a connection to the end of its handshake."""
