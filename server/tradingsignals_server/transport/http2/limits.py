"""What one connection, and one server, may be asked for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one connection. What they hold is in the table of README.md in this folder."""

    turn_seconds: float = 0.005
    """How long frames of one connection are taken before everything else has its turn."""
    streams: int = 10_000
    """Streams at a time; further ones are refused, and may be tried again."""
    header_block_bytes: int = 96 * 1024
    """A header block, encoded or decoded. More than an edge lets through: it ends the connection."""
    header_bytes: int = 16 * 1024
    """Headers of one request, decoded, each with the 32 bytes of RFC 9113, 6.5.2; more of them are refused."""
    half_sent_bytes: int = 8 * 1024 * 1024
    """Bytes of requests that have not come to their end; beyond that the oldest of them are ended."""
    request_seconds: float = 10.0
    """How long a request, or a header block, may take from its first frame to its last."""
    preface_seconds: float = 5.0
    """How long a new connection may take to its first SETTINGS frame."""
    unused_seconds: float = 300.0
    """A connection without a stream for so long is closed."""
    idle_frames: int = 20_000
    """Frames at once that lead to nothing, such as PING, SETTINGS, WINDOW_UPDATE, DATA without data."""
    idle_frames_per_second: float = 1_000.0
    """How many more of them are allowed as time passes."""
    buffer_bytes: int = 64 * 1024
    """Bytes that may be pending for the socket; no DATA is written while more are."""
    answer_bytes: int = 1024 * 1024
    """Bytes pending for the socket beyond which nothing more is read from it."""
    keepalive_seconds: float = 30.0
    """A peer from which no frame has come for so long is sent a PING."""
    keepalive_timeout_seconds: float = 10.0
    """How long it may take to acknowledge it."""
    untaken_bytes_per_second: float = 4_096.0
    """How fast a peer has to take what is left of a response that has ended."""
    connections: int = 2_000
    """Connections of one server; the oldest without a stream is closed for a new one."""
