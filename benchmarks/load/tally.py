"""Counts of the events that the followers in one process have received."""

from __future__ import annotations

import json
from array import array
from collections.abc import Callable

from tradingsignals.v1.signal_service_pb2 import StreamSignalsResponse

_TAIL_BYTES = 80


class Tally:
    """Counts events for every follower. `changed` is called when all have the awaited events, or a stream has ended."""

    def __init__(self, followers: int, changed: Callable[[], None]) -> None:
        self.followers = followers
        self.subscribed = 0
        self.ended: list[str] = []
        self.received = [0] * followers
        self.bytes = 0
        self.last = 0.0
        self._goal = 0
        self._unfinished = 0
        self._arrivals: list[array[float]] | None = None
        self._changed = changed

    @property
    def finished(self) -> bool:
        """True if every follower has the awaited events."""
        return self._unfinished == 0

    @property
    def arrivals(self) -> list[list[float]]:
        """For each awaited event its times of arrival at the followers, in seconds of the monotonic clock."""
        return [list(times) for times in self._arrivals or ()]

    def expect(self, events: int, *, each: bool) -> None:
        """Await `events` more for every follower; with `each`, keep the time of every arrival."""
        self.received = [0] * self.followers
        self.bytes, self._goal, self._unfinished = 0, events, self.followers
        self._arrivals = [array("d") for _ in range(events)] if each else None

    def subscribe(self) -> None:
        """Record that a follower has subscribed."""
        self.subscribed += 1
        if self.subscribed == self.followers:
            self._changed()

    def end(self, why: str) -> None:
        """Record that a follower's stream has ended, which is an error during a measurement."""
        self.ended.append(why)
        self._changed()

    def take(self, follower: int, events: int, size: int, now: float) -> None:
        """Record `events` in `size` bytes for `follower`."""
        before = self.received[follower]
        self.received[follower] = after = before + events
        self.bytes += size
        if self._arrivals is not None:
            for times in self._arrivals[before:after]:
                times.append(now)
        if before < self._goal <= after:
            self.last = now
            self._unfinished -= 1
            if not self._unfinished:
                self._changed()


class SignalCount:
    """Counts the signals in a response.

    Followers with the same filter get the same responses, so each is parsed once: of two responses with the same
    `through_sequence`, which is at their end, the longer one begins earlier.
    """

    def __init__(self, read: Callable[[bytes], int]) -> None:
        self._read = read
        self._known: dict[tuple[int, bytes], int] = {}

    def of(self, response: bytes | bytearray | memoryview) -> int:
        """Number of signals in `response`."""
        key = (len(response), bytes(response[-_TAIL_BYTES:]))
        known = self._known.get(key)
        if known is None:
            if len(self._known) > 10_000:
                self._known.clear()
            known = self._known[key] = self._read(bytes(response))
        return known


def signals_in_message(response: bytes) -> int:
    """Number of signals in a StreamSignalsResponse."""
    return len(StreamSignalsResponse.FromString(response).signals)


def signals_in_json(response: bytes) -> int:
    """Number of signals in the same as JSON."""
    return len(json.loads(response)["signals"])


def through_sequence(response: bytes | bytearray | memoryview) -> int:
    """The `through_sequence` of a response: the varint at its end."""
    at = len(response) - 1
    while response[at - 1] & 0x80:
        at -= 1
    value = 0
    for byte in reversed(response[at:]):
        value = value << 7 | byte & 0x7F
    return value
