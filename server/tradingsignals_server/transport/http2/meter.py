"""A token bucket."""

from __future__ import annotations


class Meter:
    """Tokens that are spent, earned, and come back as time passes; there are never more than `burst`."""

    __slots__ = ("_at", "_burst", "_per_second", "level")

    def __init__(self, burst: float, per_second: float, now: float) -> None:
        """`now` is by any clock in seconds, the same for every call."""
        self.level = burst
        self._burst = burst
        self._per_second = per_second
        self._at = now

    def spend(self, tokens: float, now: float) -> bool:
        """Take tokens; False if there are too few."""
        level = min(self._burst, self.level + (now - self._at) * self._per_second) - tokens
        self._at = now
        self.level = level
        return level >= 0.0
