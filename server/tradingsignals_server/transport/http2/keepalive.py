"""How long a connection may be silent, unused, or closing."""

from __future__ import annotations

from .limits import Limits


class Keepalive:
    """The times of one connection, in seconds on any monotonic clock."""

    def __init__(self, limits: Limits, now: float) -> None:
        self._limits = limits
        self._opened_at = now
        self._in_use_at = now
        self._received_at = now
        self._ping_sent_at: float | None = None
        self._closed_at: float | None = None

    def frame_received(self, now: float) -> None:
        """Record that the peer has sent a frame."""
        self._received_at, self._ping_sent_at = now, None

    def is_late_to_start(self, now: float) -> bool:
        """Return whether SETTINGS of the peer, if it has not come yet, is overdue."""
        return now - self._opened_at > self._limits.preface_seconds

    def is_dead(self, now: float) -> bool:
        """Return whether the peer has not acknowledged a PING in time."""
        return self._ping_sent_at is not None and now - self._ping_sent_at > self._limits.keepalive_timeout_seconds

    def is_ping_due(self, now: float) -> bool:
        """Return whether the peer has been silent for so long that a PING must be sent; it is recorded as sent."""
        if self._ping_sent_at is not None or now - self._received_at <= self._limits.keepalive_seconds:
            return False
        self._ping_sent_at = now
        return True

    def is_unused(self, now: float, *, has_streams: bool) -> bool:
        """Return whether the connection has had no stream for too long."""
        if has_streams:
            self._in_use_at = now
        return now - self._in_use_at > self._limits.unused_seconds

    def is_closed_too_long(self, now: float) -> bool:
        """Return whether a connection that is closed does not take its last bytes; the first call starts the time."""
        if self._closed_at is None:
            self._closed_at = now
        return now - self._closed_at > self._limits.keepalive_timeout_seconds
