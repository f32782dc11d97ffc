"""What the followers in one process have received, counted as it comes."""

from __future__ import annotations

import json
from array import array
from collections.abc import Callable

from tradingsignals.v1.signal_service_pb2 import StreamSignalsResponse

_TAIL_BYTES = 80


class Tally:
    """Counts events for every follower. `changed` is called when all have what was awaited, or one has ended."""

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
        """True if every follower has what was awaited."""
        return self._unfinished == 0

    @property
    def arrivals(self) -> list[list[float]]:
        """Of each awaited event the times at which it came to the followers, in seconds of the monotonic clock."""
        return [list(times) for times in self._arrivals or ()]

    def expect(self, events: int, *, each: bool) -> None:
        """Await `events` more for every follower; with `each` the time of every arrival is kept."""
        self.received = [0] * self.followers
        self.bytes, self._goal, self._unfinished = 0, events, self.followers
        self._arrivals = [array("d") for _ in range(events)] if each else None

    def subscribe(self) -> None:
        """A follower has been let in."""
        self.subscribed += 1
        if self.subscribed == self.followers:
            self._changed()

    def end(self, why: str) -> None:
        """A follower's stream has ended, which none does while it is measured."""
        self.ended.append(why)
        self._changed()

    def take(self, follower: int, events: int, size: int, now: float) -> None:
        """`events` in `size` bytes came to `follower`."""
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
    """How many signals an answer holds.

    Followers with the same filter get the same answers, so that each is read once: of two answers that are complete up
    to the same sequence, which stands at their end, the longer one begins earlier.
    """

    def __init__(self, read: Callable[[bytes], int]) -> None:
        self._read = read
        self._known: dict[tuple[int, bytes], int] = {}

    def of(self, answer: bytes | bytearray | memoryview) -> int:
        """Signals in `answer`."""
        key = (len(answer), bytes(answer[-_TAIL_BYTES:]))
        known = self._known.get(key)
        if known is None:
            if len(self._known) > 10_000:
                self._known.clear()
            known = self._known[key] = self._read(bytes(answer))
        return known


def signals_in_message(answer: bytes) -> int:
    """Signals in a StreamSignalsResponse."""
    return len(StreamSignalsResponse.FromString(answer).signals)


def signals_in_json(answer: bytes) -> int:
    """Signals in the same as JSON."""
    return len(json.loads(answer)["signals"])


def through_sequence(answer: bytes | bytearray | memoryview) -> int:
    """The sequence that an answer of a stream is complete up to: the varint at its end."""
    at = len(answer) - 1
    while answer[at - 1] & 0x80:
        at -= 1
    value = 0
    for byte in reversed(answer[at:]):
        value = value << 7 | byte & 0x7F
    return value
