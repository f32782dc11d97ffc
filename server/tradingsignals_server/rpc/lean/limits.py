"""What one connection may ask of us."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one connection. Those who pass them are cut off, or refused."""

    streams: int = 10_000
    """Streams at a time; further ones are refused, and may be tried again."""
    header_bytes: int = 128 * 1024
    """Headers of one request, decoded or not. Far above what an edge lets through: more ends the connection."""
    idle_frames: int = 10_000
    """Frames that lead to nothing (PING, SETTINGS, PRIORITY, DATA without data), in `period_seconds`."""
    period_seconds: float = 10.0
    buffer_bytes: int = 64 * 1024
    """Bytes that may wait for the socket; its streams are not written to while more do."""
    answer_bytes: int = 1024 * 1024
    """Bytes of acknowledgements that may wait for a peer that asks and does not read."""
    keepalive_seconds: float = 30.0
    """A peer that says nothing for so long is asked whether it is there."""
    keepalive_timeout_seconds: float = 10.0
    """How long it may take to answer."""
