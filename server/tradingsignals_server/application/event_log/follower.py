"""A follower of the event log: what it is sent next, and when. It does no I/O, so both servers send what it gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Final, Literal, Protocol
from weakref import WeakKeyDictionary, WeakValueDictionary

from ...domain.errors import FollowerStalled, ServiceError, ShuttingDown
from .filter import Filter
from .group import Encoding, Group, ResponseLimits
from .replay import Playback, Replay
from .tail import LogTail

STALL_SECONDS: Final = 300.0
"""How long a follower may leave a response unread, unless a setting says otherwise."""


@dataclass(frozen=True, slots=True)
class StreamRequest:
    """What a caller asks of a stream. Without `resume_after` it is live from now, or a replay from its first entry."""

    filter: Filter
    resume_after: int | None
    heartbeat_seconds: float
    replay: Replay | None = None


@dataclass(frozen=True, slots=True)
class End:
    """The end of a stream. Without an error it is that of a replay; `response` is the last one, if there is one."""

    error: ServiceError | None = None
    response: bytes | None = None


class WorkBudget(Protocol):
    """Work that may still be done in this turn of the event loop, in entries (see Encoding.effort)."""

    left: int


class _Phase(Enum):
    NEW = auto()
    LIVE = auto()
    """It follows the log, wherever its cursor is."""
    REPLAYING = auto()
    BLOCKED = auto()
    """The caller does not take what was sent."""
    ENDED = auto()


_LIVE: Final = _Phase.LIVE
"""Looking a member of an enum up takes as long as all else that `next` does for a live follower."""


class Follower:
    """A cursor in the log, driven by a sender that calls `next` and sends what it returns.

    All entries up to `cursor` that pass the filter have been returned. If `next` returns None, `awaits` says what has
    to happen before it is called again:

    - "entries": the log has grown, the server stops, or the clock has reached `due_at`
    - "page": `read` has returned
    - "turn": other work has had its turn of the event loop; also set if a response is returned and there are more
    - "end": nothing; `end` says how the stream ends

    A heartbeat is returned after `heartbeat_seconds` without a response. All times are of one clock in seconds.
    """

    __slots__ = (
        "__weakref__",
        "_beat_at",
        "_before",
        "_blocked_at",
        "_group",
        "_heartbeat_seconds",
        "_live_group",
        "_log",
        "_phase",
        "_playback",
        "_reported",
        "_resumed_phase",
        "_skips",
        "_stall_seconds",
        "awaits",
        "cursor",
        "end",
    )

    def __init__(
        self,
        log: LogTail,
        group: Group,
        cursor: int,
        heartbeat_seconds: float,
        stall_seconds: float,
        playback: Playback | None = None,
        live_group: Group | None = None,
    ) -> None:
        """Args:
        log: the log that it follows.
        group: the followers that it shares responses with.
        cursor: the sequence after which it begins.
        heartbeat_seconds: how long it may be without a response.
        stall_seconds: how long the caller may leave a response unread.
        playback: the replay that it begins with.
        live_group: its group after a replay that has no end.
        """
        self.cursor = cursor
        self.awaits: Literal["entries", "page", "turn", "end"] = "entries"
        self.end: End | None = None
        self._log = log
        self._group = group
        self._heartbeat_seconds = heartbeat_seconds
        self._stall_seconds = stall_seconds
        self._playback = playback
        self._live_group = live_group or group
        self._phase = self._resumed_phase = _Phase.NEW
        self._beat_at = 0.0
        self._blocked_at = 0.0
        self._before: int | None = None  # the cursor before the response that may not be sent whole
        self._reported: int | None = None  # what the last response of a replay was complete through
        self._skips = False

    @property
    def due_at(self) -> float:
        """When `next` has something to return or to end, even if the log does not grow."""
        if self._phase is _Phase.BLOCKED:
            return self._blocked_at + self._stall_seconds
        if self._playback is not None and self._playback.has_pending:
            return min(self._beat_at, self._playback.due_at)
        return self._beat_at

    @property
    def lag(self) -> int:
        """Entries of the log that it has not passed yet; 0 in a replay, which has a pace of its own."""
        is_behind = self._playback is None and self._phase is not _Phase.ENDED
        return max(0, self._log.newest - self.cursor) if is_behind else 0

    def next(self, now: float, budget: WorkBudget) -> bytes | None:
        """Return the next response; None if there is none now: see `awaits`."""
        if self._phase is not _LIVE:
            return self._next_in_phase(now, budget)
        log, known = self._log, self._group.made
        newest = log.newest
        while (cursor := self.cursor) < newest:
            made = known.get(cursor) or self._make(budget)
            if made is None:
                return None
            response, through = made
            self.cursor = through
            if response:
                self._before = cursor
                self._beat_at = now + self._heartbeat_seconds
                self.awaits = "turn" if through < newest else "entries"
                return response
            if now >= self._beat_at:
                return self._overdue_heartbeat(now)
        if log.is_stopping:
            self._finish(ShuttingDown(cursor))
            return None
        self.awaits = "entries"
        return self._heartbeat(now) if now >= self._beat_at else None

    def last_response(self, error: Exception) -> bytes | None:
        """Return a response that says that the stream ends with an error; None while the caller does not read."""
        if not isinstance(error, ServiceError) or self._phase in {_Phase.BLOCKED, _Phase.ENDED}:
            return None
        return self._group.encoding.end(self.cursor, error)

    async def read(self) -> None:
        """Read what `next` needs from the store; to be called when it awaits a page."""
        try:
            if self._skips and self._playback is not None:
                await self._skip(self._playback)
            else:
                await self._log.load(self.cursor)
        except ServiceError as error:
            self._finish(error.with_traceback(None))  # the traceback would keep this follower in memory
        else:
            self.awaits = "turn"

    def blocked(self, now: float, *, sent: bool = False) -> None:
        """Record that the caller does not take the last response; `sent`: it has that, but nothing more can be sent."""
        if self._phase in {_Phase.BLOCKED, _Phase.ENDED}:
            return
        self._resumed_phase, self._phase = self._phase, _Phase.BLOCKED
        self._blocked_at = now
        if sent:
            self._before = None

    def unblocked(self, now: float) -> None:
        """Record that the last response has been sent, and that more can be."""
        if self._phase is _Phase.BLOCKED:
            self._phase = self._resumed_phase
            if self._before is not None:
                self._beat_at = now + self._heartbeat_seconds

    # ------------------------------------------------------------------------------------------------------- phases

    def _next_in_phase(self, now: float, budget: WorkBudget) -> bytes | None:
        match self._phase:
            case _Phase.NEW:
                self._phase = _Phase.LIVE if self._playback is None else _Phase.REPLAYING
                self._beat_at = now + self._heartbeat_seconds
                if self._group.encoding.begins_with_heartbeat:
                    self.awaits = "turn"
                    return self._heartbeat(now)
                return self.next(now, budget)
            case _Phase.REPLAYING if self._playback is not None:
                return self._next_of(self._playback, now, budget)
            case _Phase.BLOCKED if now >= self.due_at:
                sequence = self.cursor if self._before is None else self._before
                self._finish(FollowerStalled(sequence, self._stall_seconds), has_response=False)
                return None
        return None

    def _make(self, budget: WorkBudget) -> tuple[bytes, int] | None:
        """Make the next response of the group, unless it has to wait."""
        log, cursor = self._log, self.cursor
        limit = self._group.limits.entries
        if budget.left <= 0 and log.newest - cursor > limit:
            self.awaits = "turn"  # followers that are far behind take turns; live ones do not wait for them
            return None
        entries = log.after(cursor, limit)
        if entries is None:
            self.awaits = "page"
            return None
        budget.left -= len(entries) * self._group.encoding.effort
        return self._group.make(cursor, entries)

    def _overdue_heartbeat(self, now: float) -> bytes | None:
        """Make a heartbeat if one is due, although there are more entries: it reports how far the follower is."""
        if now < self._beat_at:
            return None
        self.awaits = "turn"
        return self._heartbeat(now)

    def _heartbeat(self, now: float) -> bytes:
        self._before = self._reported = self.cursor
        self._beat_at = now + self._heartbeat_seconds
        return self._group.heartbeat(self.cursor, now)

    def _finish(self, error: ServiceError | None, *, has_response: bool = True) -> None:
        response = self._group.encoding.end(self.cursor, error) if error is not None and has_response else None
        self.end = End(error, response)
        self._phase = _Phase.ENDED
        self.awaits = "end"

    # ------------------------------------------------------------------------------------------------------- replay

    def _next_of(self, playback: Playback, now: float, budget: WorkBudget) -> bytes | None:
        began_at = self.cursor
        while playback.has_pending or self.cursor < playback.last:
            if self._log.is_stopping:
                self._finish(ShuttingDown(self.cursor))
                return None
            if not playback.has_pending:
                if not self._turn_page(playback, now, budget):
                    if self.cursor == began_at:
                        return None
                    break
            elif playback.due_at <= now:
                return self._take_due(playback, now, budget)
            else:
                self.awaits = "entries"
                break
        else:
            return self._end_of_replay(playback, now, budget)
        return self._overdue_heartbeat(now)

    def _turn_page(self, playback: Playback, now: float, budget: WorkBudget) -> bool:
        """Go on to the next entries of the log; False if `next` has to wait for them."""
        if budget.left <= 0:
            self.awaits = "turn"
            return False
        entries = None if self._skips else self._log.after(self.cursor, self._log.page_entries)
        if entries is None:
            self.awaits = "page"
            return False
        budget.left -= len(entries)
        is_in_range = playback.turn_page(entries, self._group.filter, now)
        if not playback.has_pending:
            self.cursor = playback.page_end
        if is_in_range or playback.page_end >= playback.last:
            return True
        # Where histories lie one after the other, what is between two parts of the range is not read.
        self._skips, self.awaits = True, "page"
        return False

    async def _skip(self, playback: Playback) -> None:
        following = await self._log.range_of(playback.replay, self.cursor)
        self.cursor = playback.last if following is None else min(following[0] - 1, playback.last)
        self._skips = False

    def _take_due(self, playback: Playback, now: float, budget: WorkBudget) -> bytes:
        self._before = self.cursor
        limits = self._group.limits
        taken, self.cursor = playback.take_due(now, limits.entries, limits.bytes)
        self._reported = self.cursor
        self._beat_at = now + self._heartbeat_seconds
        budget.left -= len(taken) * self._group.encoding.effort
        self.awaits = "turn"
        return self._group.encoding.entries(taken, self.cursor)

    def _end_of_replay(self, playback: Playback, now: float, budget: WorkBudget) -> bytes | None:
        if playback.replay.end is None:
            self._playback, self._group, self._phase = None, self._live_group, _Phase.LIVE
            return self.next(now, budget)
        if self._reported != self.cursor:
            self.awaits = "turn"
            return self._heartbeat(now)
        self._finish(None)
        return None


@dataclass(frozen=True, slots=True)
class StreamName:
    """What a follower is counted under: the method of the stream, and how its responses reach the caller."""

    method: str
    transport: str


class Followers:
    """Opens the followers of a log, and puts those with the same filter and encoding into one group."""

    def __init__(
        self, log: LogTail, stall_seconds: float = STALL_SECONDS, limits: ResponseLimits | None = None
    ) -> None:
        self._log = log
        self._stall_seconds = stall_seconds
        self._limits = limits or ResponseLimits()
        self._groups: WeakValueDictionary[tuple[Filter, Encoding], Group] = WeakValueDictionary()
        self._open: WeakKeyDictionary[Follower, StreamName] = WeakKeyDictionary()

    def lags(self) -> Mapping[StreamName, Sequence[int]]:
        """Return the lag of every open follower, by its name."""
        found: dict[StreamName, list[int]] = {}
        for follower, name in list(self._open.items()):
            found.setdefault(name, []).append(follower.lag)
        return found

    async def open(self, request: StreamRequest, encoding: Encoding, name: StreamName | None = None) -> Follower:
        """Subscribe to the entries that a request asks for; with a name the follower is among the `lags`.

        Raises:
            SequencePruned, SequenceUnknown: `resume_after` is not in the log.
            StorageUnavailable: the store has to be asked for it, and cannot be.
        """
        follower = await self._opened(request, encoding)
        if name is not None:
            self._open[follower] = name
        return follower

    async def _opened(self, request: StreamRequest, encoding: Encoding) -> Follower:
        log, group = self._log, self._group(request.filter, encoding)
        cursor = log.newest  # what is committed from now on is live
        if request.resume_after is not None:
            await log.check(cursor := request.resume_after)
        if request.replay is None:
            return Follower(log, group, cursor, request.heartbeat_seconds, self._stall_seconds)
        newest = log.newest
        after = log.oldest - 1 if request.resume_after is None else cursor
        # Without stored entries in the range there is nothing to replay up to now; what comes now is live.
        first, last = await log.range_of(request.replay, after) or (newest + 1, newest)
        return Follower(
            log,
            group,
            max(first - 1, after),
            request.heartbeat_seconds,
            self._stall_seconds,
            Playback(request.replay, max(min(last, newest), after)),
            self._group(replace(request.filter, since=request.replay.start), encoding),
        )

    def _group(self, filter_: Filter, encoding: Encoding) -> Group:
        group = self._groups.get((filter_, encoding))
        if group is None:
            group = self._groups[filter_, encoding] = Group(filter_, encoding, self._limits)
        return group
