"""Followers with the same filter and encoding, which share their responses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from ...domain.errors import ServiceError
from ..ports.event_log import LogEntry
from .filter import Filter

KEPT_RESPONSES: Final = 16
"""Responses of a group that are kept for followers that reach the same cursor later."""


@dataclass(frozen=True, slots=True)
class ResponseLimits:
    """Bounds of one response."""

    entries: int = 256
    """A bound on what a stalled follower holds, some 180 KB, or 360 KB of text, shared with those that stalled at the
    same place."""
    bytes: int = 1 << 20
    """Of the entries' messages, unless a single one is larger. Clients of gRPC take 4 MiB."""


class Encoding(Protocol):
    """How the responses of a stream are written. An encoding is hashable; equal ones write the same bytes."""

    effort: int
    """What writing an entry costs, in units of an entry whose bytes are only joined to others."""

    begins_with_heartbeat: bool
    """True if a stream begins with a heartbeat, because its headers alone would not reach the caller."""

    def entries(self, entries: Sequence[LogEntry], through_sequence: int) -> bytes:
        """Write a response with entries, complete through a sequence."""

    def heartbeat(self, through_sequence: int) -> bytes:
        """Write a response that says that there is nothing new."""

    def end(self, through_sequence: int, error: ServiceError) -> bytes:
        """Write the last response, for callers that cannot see the status that comes after it."""


Made = tuple[bytes, int]
"""A response and the sequence that a follower is complete through with it; no bytes if no entry passes the filter."""


class Group:
    """The responses made for the followers of one filter and one encoding, by the cursor that they come after.

    A response stays true as the log grows: it ends where the log ended when it was made.
    """

    def __init__(self, filter_: Filter, encoding: Encoding, limits: ResponseLimits) -> None:
        self.filter = filter_
        self.encoding = encoding
        self.limits = limits
        self.made: dict[int, Made] = {}
        self._heartbeat: tuple[int, float, bytes] = (-1, 0.0, b"")

    def make(self, cursor: int, entries: Sequence[LogEntry]) -> Made:
        """Make the response after `cursor` of the entries that come next, and keep it."""
        passing, through = self._select(entries)
        response = self.encoding.entries(passing, through) if passing else b""
        made = self.made[cursor] = response, through
        if len(self.made) > KEPT_RESPONSES:
            del self.made[next(iter(self.made))]
        return made

    def heartbeat(self, cursor: int, now: float) -> bytes:
        """Make a heartbeat; those that are due at the same time with the same cursor share it."""
        if self._heartbeat[:2] != (cursor, now):
            self._heartbeat = cursor, now, self.encoding.heartbeat(cursor)
        return self._heartbeat[2]

    def _select(self, entries: Sequence[LogEntry]) -> tuple[list[LogEntry], int]:
        """The entries that pass, as far as the limits allow, and the sequence that they are complete through."""
        passes, limit_bytes = self.filter.passes, self.limits.bytes
        passing: list[LogEntry] = []
        size = 0
        for entry in entries:
            if passes(entry):
                size += len(entry.payload)
                if passing and size > limit_bytes:
                    return passing, entry.sequence - 1
                passing.append(entry)
        return passing, entries[-1].sequence
