"""The rules of a follower: from where it resumes, when it tries again, when it raises.

`Resume` does no I/O and reads no clock: both followers report what happened to their stream, and do what it returns.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, Literal, Protocol, TypeAlias, TypedDict, TypeVar

import grpc

from .errors import (
    EpochChanged,
    EventsPruned,
    FieldViolation,
    InvalidRequest,
    OutOfRange,
    TemporaryError,
    TradingSignalsError,
)

DEFAULT_HEARTBEAT_SECONDS = 15
MAXIMUM_HEARTBEAT_SECONDS = 60

SILENT_HEARTBEATS = 3
"""Heartbeats in a row that may be missing before a connection is given up."""


class Sequenced(Protocol):
    """An item that has a place in the event log."""

    sequence: int


T = TypeVar("T", bound=Sequenced)


class FollowerClosed(Exception):
    """The follower was closed during a wait. Never leaves the follower."""


class NoResponse(Exception):
    """A stream has been silent for too long. Never leaves the follower."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before following again: twice as long after each failure in a row, and a little at random.

    Attributes:
        first_seconds: the longest wait after the first failure.
        max_seconds: the longest wait after any.
        give_up_seconds: after how long without the service its error is raised. None: never.
    """

    first_seconds: float = 0.25
    max_seconds: float = 5.0
    give_up_seconds: float | None = None

    def __post_init__(self) -> None:
        if not 0.0 <= self.first_seconds <= self.max_seconds:
            raise ValueError("0 <= first_seconds <= max_seconds does not hold")
        if self.give_up_seconds is not None and not self.give_up_seconds >= 0.0:
            raise ValueError(f"give_up_seconds is 0 or more, or None, not {self.give_up_seconds}")

    def pause(self, attempt: int, chance: float) -> float:
        """Seconds to wait after failure `attempt` in a row (1, 2, ...); `chance`, 0..1, spreads the followers."""
        longest = min(self.max_seconds, self.first_seconds * 2.0 ** min(attempt - 1, 60))
        return longest * (0.5 + 0.5 * chance)


# ---------------------------------------------------------------------------------------------------------- notices


@dataclass(frozen=True, slots=True)
class Connected:
    """The service has accepted the subscription; what comes after `sequence` of the log `epoch` will be handed out."""

    sequence: int
    epoch: str | None


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The service cannot be followed just now. It is tried again in `retry_seconds`; nothing is lost by it.

    `attempt` counts the failures in a row: 1 when the service has just been lost.
    """

    error: TradingSignalsError
    attempt: int
    retry_seconds: float


@dataclass(frozen=True, slots=True)
class StartedOver:
    """The log followed so far is no more, and the new one is followed from its beginning (`on_new_epoch="start_over"`).

    `sequence` is how far the old one was followed. `old_epoch` is None if it was never known.
    """

    old_epoch: str | None
    epoch: str | None
    sequence: int


@dataclass(frozen=True, slots=True)
class Skipped:
    """Events after `sequence` are no longer kept; it goes on with `oldest_sequence` (`on_pruned="skip"`)."""

    sequence: int
    oldest_sequence: int


Notice: TypeAlias = Connected | Disconnected | StartedOver | Skipped
"""What happened to the follower's stream. Reported between the events, in their order."""


class Following(TypedDict, total=False):
    """The options of a follower; each may be left out.

    resume_after: go on after this sequence, such as a stored `follower.sequence`, or a list's `through_sequence`.
        Without it: from now on.
    epoch: the log that `resume_after` is of, such as a stored `follower.epoch`. With it a database that was made anew
        meanwhile is always noticed, without it only if its log is still shorter.
    heartbeat_seconds: 1..60, 15 by default. A connection that is silent three times as long is given up.
    on_new_epoch: what to do when the log is another one than before, because the database was made anew or set back:
        "raise" EpochChanged (default), or "start_over" from the beginning of the new log.
    on_pruned: what to do when events that were not seen yet are no longer kept: "raise" EventsPruned (default), or
        "skip" them and go on with the oldest that is kept.
    backoff: how long to wait before trying again.
    notify: called with each Notice, between two events, in the task or thread that iterates. What it raises ends the
        iteration.
    """

    resume_after: int | None
    epoch: str | None
    heartbeat_seconds: int
    on_new_epoch: Literal["raise", "start_over"]
    on_pruned: Literal["raise", "skip"]
    backoff: Backoff
    notify: Callable[[Notice], None]


# ------------------------------------------------------------------------------------------------------------ rules


class Resume(Generic[T]):
    """The place of one follower in the log, through all its streams. The arguments are those of Following.

    Raises:
        InvalidRequest: `heartbeat_seconds` is out of its bounds. The service would refuse it too, but no response to it
            could be awaited: how long a follower waits for one follows from it.
        ValueError: another argument is none of those that Following lists.
    """

    def __init__(
        self,
        *,
        resume_after: int | None = None,
        epoch: str | None = None,
        heartbeat_seconds: int = DEFAULT_HEARTBEAT_SECONDS,
        on_new_epoch: Literal["raise", "start_over"] = "raise",
        on_pruned: Literal["raise", "skip"] = "raise",
        backoff: Backoff | None = None,
        notify: Callable[[Notice], None] | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        if on_new_epoch not in {"raise", "start_over"}:
            raise ValueError(f'on_new_epoch is "raise" or "start_over", not {on_new_epoch!r}')
        if on_pruned not in {"raise", "skip"}:
            raise ValueError(f'on_pruned is "raise" or "skip", not {on_pruned!r}')
        if not 1 <= heartbeat_seconds <= MAXIMUM_HEARTBEAT_SECONDS:
            wrong = FieldViolation("heartbeat_seconds", f"must be from 1 to {MAXIMUM_HEARTBEAT_SECONDS}")
            raise InvalidRequest(
                f"{wrong.field}: {wrong.description}",
                code=grpc.StatusCode.INVALID_ARGUMENT,
                reason="INVALID_FIELD",
                violations=(wrong,),
            )
        self.heartbeat_seconds = heartbeat_seconds
        self._starts_over = on_new_epoch == "start_over"
        self._skips = on_pruned == "skip"
        self._backoff = backoff or Backoff()
        self._notify = notify or (lambda _: None)
        self._chance = chance
        self._sequence = resume_after
        self._received = resume_after
        self._epoch = None if resume_after is None else epoch
        self._pending: deque[T] = deque()
        self._connected = False
        self._failures = 0
        self._lost_at = 0.0

    @property
    def sequence(self) -> int | None:
        """Everything up to here was handed out. None: it has not begun yet."""
        return self._sequence

    @property
    def epoch(self) -> str | None:
        """The log that `sequence` is of. None: it is not known yet."""
        return self._epoch

    @property
    def patience_seconds(self) -> float:
        """Seconds for which a stream may be silent."""
        return float(SILENT_HEARTBEATS * self.heartbeat_seconds)

    @property
    def resume_after(self) -> int | None:
        """The `resume_after` of the next request. None: get the newest sequence of the log first, and `begin` there."""
        return self._received

    def begin(self, through_sequence: int, epoch: str) -> None:
        """Begin after `through_sequence`, the newest of the log `epoch` ("" if it is unknown)."""
        self._sequence = self._received = through_sequence
        self._epoch = epoch or None

    def opened(self, epoch: str | None) -> float | None:
        """Note that the service has accepted the stream, of the log `epoch` (None: it did not send one).

        Returns None if the stream is to be read. Otherwise it is of a new log: end it, and open another one after so
        many seconds.

        Raises:
            EpochChanged: it is of a new log, and `on_new_epoch` is "raise".
        """
        if epoch is None:
            return None
        if self._epoch is not None and epoch != self._epoch:
            self._failures += 1
            self._new_log(epoch)
            return self._pause_of_change()
        self._epoch = epoch
        self._notify_connected()
        return None

    def received(self, items: Iterable[T], through_sequence: int) -> None:
        """Take a response: these items, complete up to `through_sequence`. Without items it is a heartbeat."""
        self._failures = 0
        self._notify_connected()
        known = self._received or 0
        # A service never sends an item twice. If a proxy on the way does, it is still handed out once.
        self._pending.extend(item for item in items if item.sequence > known)
        self._received = max(known, through_sequence)
        if not self._pending:
            self._sequence = self._received

    def hand_out(self) -> T | None:
        """Return the next item, which counts as handed out from now on; None if there is none."""
        if not self._pending:
            return None
        item = self._pending.popleft()
        self._sequence = item.sequence if self._pending else self._received
        return item

    def failed(self, error: TradingSignalsError, now: float) -> float:
        """Note that the stream has ended; returns seconds to wait before the next. `now` is any clock in seconds.

        Raises:
            EpochChanged, EventsPruned: the log has changed, and `on_new_epoch` or `on_pruned` is "raise".
            TradingSignalsError: trying again would not help, or has not helped for too long.
        """
        if isinstance(error, EpochChanged | EventsPruned):
            raise error
        self._connected = False
        self._failures += 1
        if self._failures == 1:
            self._lost_at = now
        if isinstance(error, OutOfRange) and error.reason == "SEQUENCE_PRUNED":
            self._pruned(error)
            return self._pause_of_change()
        if isinstance(error, OutOfRange) and error.reason == "SEQUENCE_UNKNOWN":
            self._new_log(error.metadata.get("epoch"), error)
            return self._pause_of_change()
        if not isinstance(error, TemporaryError):
            raise error
        pause = self._backoff.pause(self._failures, self._chance())
        give_up = self._backoff.give_up_seconds
        if give_up is not None and now + pause - self._lost_at > give_up:
            raise error
        self._notify(Disconnected(error, self._failures, pause))
        return pause

    def _notify_connected(self) -> None:
        if not self._connected:
            self._connected = True
            self._notify(Connected(self._received or 0, self._epoch))

    def _new_log(self, epoch: str | None, cause: TradingSignalsError | None = None) -> None:
        old_epoch, sequence = self._epoch, self._sequence or 0
        if not self._starts_over:
            raise EpochChanged(sequence, old_epoch, epoch) from cause
        self._sequence = self._received = 0
        self._epoch = epoch
        self._connected = False
        self._pending.clear()
        self._notify(StartedOver(old_epoch, epoch, sequence))

    def _pruned(self, error: OutOfRange) -> None:
        sequence, oldest = self._sequence or 0, int(error.metadata.get("oldest_sequence", "0"))
        if not self._skips:
            raise EventsPruned(sequence, oldest) from error
        if oldest > sequence + 1:
            self._sequence = self._received = oldest - 1
            self._notify(Skipped(sequence, oldest))

    def _pause_of_change(self) -> float:
        """Do not pause the first time. If the log keeps changing, requests without a pause would only be load."""
        return 0.0 if self._failures == 1 else self._backoff.pause(self._failures, self._chance())
