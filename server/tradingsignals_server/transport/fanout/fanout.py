"""From the log to many followers, with one write for each connection.

A follower is a cursor. Those who wish for the same form a group, and an answer is filtered and encoded once for all of
them who stand at the same place. Each connection has a lane: those of its followers who can be written to. What is left
to send of an answer stays with the stream, and its follower is out of the lane until it is gone: it is behind then,
and goes on from its cursor, by the same code. So a stalled follower costs one answer at most, which it shares with all
who stalled at the same place, and no queue grows.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from ...api.encoding.responses import AnswerForm
from ...application.event_log.tail import Broadcast, Filter
from ...application.ports.event_log import LogEntry
from ...domain.errors import FollowerStalled, ServiceError, ShuttingDown
from ..grpc.call import Call, framed
from ..http2 import frames
from ..http2.stream import Stream, StreamOwner

ANSWER_ENTRIES: Final = 64
"""Entries in one answer at most: a bound on what a stalled follower holds, some 45 KB, or 90 KB of text."""
KEPT_ANSWERS: Final = 16
"""Answers of a group that are kept for others who come by the same place."""
ENCODED_AT_ONCE: Final = 1024
"""Entries encoded before others have their turn: some 2 ms. Text counts by its effort."""
WRITE_BYTES: Final = 64 * 1024
"""Bytes collected before they are handed to the socket."""
READERS: Final = 4
"""Followers who read from the store at a time."""


@dataclass(frozen=True, slots=True)
class Follow:
    """What a caller wishes to follow."""

    form: AnswerForm
    wanted: Filter
    cursor: int
    heartbeat_seconds: float


class Answer:
    """An answer encoded once: whole, and in frames that lack only their stream. Empty if nothing passed the filter."""

    __slots__ = ("entries", "framed", "pieces", "size", "through")

    def __init__(self, message: bytes, through: int, entries: int) -> None:
        self.framed = framed(message) if message else b""
        self.size = len(self.framed)
        self.through = through
        self.entries = entries
        chunks = [self.framed[at : at + frames.MAX_FRAME_BYTES] for at in range(0, self.size, frames.MAX_FRAME_BYTES)]
        self.pieces = [(frames.frame_prefix(frames.DATA, 0, len(chunk)), chunk) for chunk in chunks]


class Group:
    """Followers with the same wishes, and the answers made for them. An answer stays true as the log grows."""

    def __init__(self, form: AnswerForm, wanted: Filter) -> None:
        self.form = form
        self.wanted = wanted
        self.members = 0
        self._answers: OrderedDict[int, Answer] = OrderedDict()

    def known(self, cursor: int) -> Answer | None:
        """The answer after `cursor` if it has been made."""
        return self._answers.get(cursor)

    def make(self, cursor: int, entries: Sequence[LogEntry]) -> Answer:
        """The answer after `cursor`, of the entries that follow it."""
        passes, entries = self.wanted.passes, entries[:ANSWER_ENTRIES]
        passing = [entry for entry in entries if passes(entry)]
        through = entries[-1].sequence
        answer = Answer(self.form.entries(passing, through) if passing else b"", through, len(entries))
        self._answers[cursor] = answer
        if len(self._answers) > KEPT_ANSWERS:
            self._answers.popitem(last=False)
        return answer


class _Out:
    """Collects frames of many streams of one connection, so that they go to the socket together."""

    def __init__(self, connection: StreamOwner) -> None:
        self._connection = connection
        self._frames: list[bytes] = []
        self._size = 0

    def add(self, answer: Answer, stream: Stream) -> bool:
        """Send an answer on a stream that has nothing left to send; False if the windows let only a part through."""
        size, flow = answer.size, self._connection.flow
        if size > stream.window or size > flow.window:
            stream.send(answer.framed)
            return stream.pending is None
        # As Stream.reserve does; calling it would take 6% longer for each event to a follower.
        stream.window -= size
        flow.window -= size
        tag = stream.stream_id_bytes
        for head, chunk in answer.pieces:
            self._frames += (head, tag, chunk)
        self._size += size
        if self._size >= WRITE_BYTES:
            self.flush()
        return True

    def flush(self) -> None:
        """Hand over what was collected."""
        if self._frames:
            self._connection.write(b"".join(self._frames))
            self._frames, self._size = [], 0


class Follower:
    """Someone's place in the log: all that it wanted up to `cursor` has been written."""

    __slots__ = ("call", "cursor", "group", "heartbeat_seconds", "lane", "reader", "sent", "spoken_at", "stream")

    def __init__(self, call: Call, lane: Lane, group: Group, follow: Follow, now: float) -> None:
        self.call = call
        self.stream = call.stream
        self.lane = lane
        self.group = group
        self.cursor = follow.cursor
        self.sent = follow.cursor
        """The cursor as it was before what is left to send, if anything is."""
        self.heartbeat_seconds = follow.heartbeat_seconds
        self.spoken_at = now
        self.reader: asyncio.Task[None] | None = None

    def leave(self) -> None:
        """Stop following: the call has ended."""
        self.lane.fanout.leave(self)

    def flushed(self) -> None:
        """Go on: the message that was pending has been sent."""
        self.lane.fanout.flushed(self)

    def end(self, error: ServiceError) -> None:
        """Tell the follower why it ends, then end it."""
        self.call.fail(error, self.group.form.end(self.cursor, error))


class Lane:
    """The followers of one connection. Those in `ready` have nothing left to send and read nothing from the store."""

    def __init__(self, fanout: Fanout, connection: StreamOwner) -> None:
        self.fanout = fanout
        self.connection = connection
        self.followers: dict[Follower, None] = {}
        self.ready: dict[Follower, None] = {}
        self._round: list[Follower] = []
        self._put_off: dict[Follower, None] = {}
        self._left_to_encode = 0
        self._is_due = False

    def call_soon(self) -> None:
        """Have `pump` called when it is its turn."""
        if not self._is_due:
            self._is_due = True
            self.fanout.loop.call_soon(self.pump)

    def forget(self, follower: Follower) -> None:
        """Keep nothing of a follower."""
        del self.followers[follower]
        self.ready.pop(follower, None)
        self._put_off.pop(follower, None)
        if not self.followers:
            self._round.clear()

    def pump(self) -> None:
        """Write to each follower who is behind, once; come again if there is more, or when the socket takes more."""
        self._is_due = False
        connection, newest = self.connection, self.fanout.broadcast.newest
        flow = connection.flow
        now, stopping = self.fanout.loop.time(), self.fanout.broadcast.stopping
        # A round that was interrupted goes on where it was, so that nobody is served twice before another.
        interrupted = bool(self._round)
        round_ = self._round = self._round or self._new_round()
        self._left_to_encode = ENCODED_AT_ONCE
        out = _Out(connection)
        is_behind = False
        while round_ and not flow.paused and flow.window > 0:
            follower = round_.pop()
            if follower not in self.ready:
                continue
            if follower.cursor >= newest:
                if stopping:
                    follower.end(ShuttingDown(follower.cursor))
                continue
            answer = self._next_answer(follower, newest)
            if answer is None:
                continue
            before, follower.cursor = follower.cursor, answer.through
            is_behind = is_behind or answer.through < newest
            if answer.size:
                follower.spoken_at = now
                if not out.add(answer, follower.stream):
                    follower.sent = before
                    del self.ready[follower]
        out.flush()
        if not connection.is_writable:
            return  # `writable` comes
        if self._put_off or is_behind or interrupted:
            self.call_soon()

    def _new_round(self) -> list[Follower]:
        """Everybody who is ready, each once, those who were put off at the end: that is served first."""
        put_off, self._put_off = self._put_off, {}
        if not put_off:
            return list(self.ready)
        return [*(follower for follower in self.ready if follower not in put_off), *put_off]

    def _next_answer(self, follower: Follower, newest: int) -> Answer | None:
        """The answer after a follower's cursor, or None if it has to wait for it."""
        group, cursor = follower.group, follower.cursor
        answer = group.known(cursor)
        if answer is not None:
            return answer
        if self._left_to_encode <= 0 and newest - cursor > ANSWER_ENTRIES:
            self._put_off[follower] = None  # those who are far behind take turns; live ones do not wait for them
            return None
        entries = self.fanout.broadcast.remembered_after(cursor, ANSWER_ENTRIES)
        if entries is None:
            self._read(follower)
            return None
        self._left_to_encode -= len(entries) * group.form.effort
        return group.make(cursor, entries)

    def _read(self, follower: Follower) -> None:
        del self.ready[follower]
        follower.reader = asyncio.create_task(self.fanout.read(follower))

    def catch_up(self, follower: Follower, page: Sequence[LogEntry]) -> None:
        """Write what a follower takes of a page that was read for it, and have it go on."""
        stream, connection = follower.stream, self.connection
        last = page[-1].sequence
        while follower.cursor < last and stream.pending is None and connection.is_writable:
            cursor = follower.cursor
            answer = follower.group.known(cursor)
            if answer is None:
                answer = follower.group.make(cursor, page[cursor + 1 - page[0].sequence :])
            follower.cursor = answer.through
            if answer.size:
                follower.spoken_at = self.fanout.loop.time()
                follower.sent = cursor
                stream.send(answer.framed)
        follower.reader = None
        if stream.pending is None:
            self.ready[follower] = None
            self.call_soon()


class Fanout:
    """All followers of this path."""

    def __init__(self, broadcast: Broadcast, stall_seconds: float) -> None:
        self.broadcast = broadcast
        self.loop = asyncio.get_running_loop()
        self._stall_seconds = stall_seconds
        self._groups: dict[tuple[AnswerForm, Filter], Group] = {}
        self._lanes: dict[StreamOwner, Lane] = {}
        self._reading = asyncio.Semaphore(READERS)
        self._is_due = False

    @property
    def followers(self) -> int:
        """How many follow now."""
        return sum(len(lane.followers) for lane in self._lanes.values())

    def start(self) -> Callable[[], None]:
        """Deliver from now on; returns how to stop that."""
        return self.broadcast.listen(self.changed)

    # ------------------------------------------------------------------------------------------- coming and going

    def join(self, call: Call, follow: Follow) -> None:
        """Have a call follow, unless it has ended; the headers of its answer are sent, and what it begins with."""
        if not call.is_open:
            return
        connection = call.stream.connection
        lane = self._lanes.get(connection)
        if lane is None:
            lane = self._lanes[connection] = Lane(self, connection)
        group = self._groups.setdefault((follow.form, follow.wanted), Group(follow.form, follow.wanted))
        group.members += 1
        call.begin()
        follower = call.follower = Follower(call, lane, group, follow, self.loop.time())
        lane.followers[follower] = None
        if follow.form.begins_with_heartbeat:
            call.stream.send(framed(follow.form.heartbeat(follow.cursor)))
        if call.stream.pending is None:
            lane.ready[follower] = None
            lane.call_soon()

    def leave(self, follower: Follower) -> None:
        """Forget a follower whose call has ended."""
        lane, group = follower.lane, follower.group
        lane.forget(follower)
        if follower.reader is not None and follower.reader is not asyncio.current_task():
            follower.reader.cancel()
        group.members -= 1
        if not group.members:
            del self._groups[group.form, group.wanted]

    # ------------------------------------------------------------------------------------------------- what happens

    def changed(self) -> None:
        """The log has grown, or the server stops."""
        if not self._is_due:
            self._is_due = True
            self.loop.call_soon(self._deliver)

    def _deliver(self) -> None:
        self._is_due = False
        for lane in list(self._lanes.values()):
            lane.pump()

    def continue_writing(self, connection: StreamOwner) -> None:
        """Write to a connection that may be written to again."""
        lane = self._lanes.get(connection)
        if lane is not None:
            lane.call_soon()

    def forget(self, connection: StreamOwner) -> None:
        """Forget a connection that is lost."""
        self._lanes.pop(connection, None)

    def flushed(self, follower: Follower) -> None:
        """Go on with a follower: the message that was pending has been sent."""
        lane = follower.lane
        if follower in lane.followers and follower.reader is None:
            follower.spoken_at = self.loop.time()
            lane.ready[follower] = None
            lane.call_soon()

    async def read(self, follower: Follower) -> None:
        """Read the next page of a follower who is further behind than memory reaches."""
        try:
            async with self._reading:
                page = await self.broadcast.page_after(follower.cursor)
                follower.lane.catch_up(follower, page)
        except ServiceError as error:
            follower.end(error)
        except Exception as error:
            follower.call.fail_unexpectedly(error)

    def look_after(self, now: float) -> None:
        """Be called now and then: tells the silent ones that nothing has happened, and ends the stalled ones."""
        heartbeats: dict[tuple[AnswerForm, int], bytes] = {}
        for lane in list(self._lanes.values()):
            for follower in list(lane.followers):
                silent = now - follower.spoken_at
                if silent < follower.heartbeat_seconds and silent < self._stall_seconds:
                    continue
                if follower in lane.ready and lane.connection.is_writable:
                    if silent >= follower.heartbeat_seconds:
                        self._beat(follower, heartbeats, now)
                elif follower.reader is None and silent >= self._stall_seconds:
                    self._end_stalled(follower)

    def _beat(self, follower: Follower, made: dict[tuple[AnswerForm, int], bytes], now: float) -> None:
        form, cursor = follower.group.form, follower.cursor
        message = made.get((form, cursor))
        if message is None:
            message = made[form, cursor] = framed(form.heartbeat(cursor))
        follower.spoken_at = now
        follower.sent = cursor
        follower.stream.send(message)
        if follower.stream.pending is not None:
            follower.lane.ready.pop(follower, None)

    def _end_stalled(self, follower: Follower) -> None:
        has_rest = follower.stream.pending is not None
        error = FollowerStalled(follower.sent if has_rest else follower.cursor, self._stall_seconds)
        follower.call.fail_now(error)
