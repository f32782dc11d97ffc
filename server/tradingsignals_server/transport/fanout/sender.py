"""Sends the responses of many streams with one write for each connection.

Response sources at the same place give the same response, whose frames are made once. What the windows do not let
through of a response stays pending on its stream, and its source is not asked for another before that is sent. So a
stalled caller costs one response at most, shared with all that stalled at the same place, and no queue grows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final

from ..grpc.call import Call, framed
from ..grpc.status import OK
from ..http2 import frames
from ..http2.stream import Stream, StreamOwner
from ..methods import Budget, ResponseSource, Subscribe

WRITE_BYTES: Final = 64 * 1024
"""Bytes collected before they are handed to the socket."""
KEPT_FRAMES: Final = 16
"""Responses whose frames are kept for other streams."""
RESPONSES_A_PAGE: Final = 8
"""Responses that a stream is sent of a page that was read for it, before others have their turn."""
CHECK_SECONDS: Final = 0.25
"""Between two checks for heartbeats and stalled callers."""


class FramedResponse:
    """A response with gRPC's prefix: whole, and in DATA frames that lack only the stream identifier."""

    __slots__ = ("frames", "response", "size", "whole")

    def __init__(self, response: bytes) -> None:
        self.response = response
        self.whole = framed(response)
        self.size = len(self.whole)
        chunks = [
            self.whole[at : at + frames.MAX_FRAME_BYTES] for at in range(0, len(self.whole), frames.MAX_FRAME_BYTES)
        ]
        self.frames = [(frames.frame_prefix(frames.DATA, 0, len(chunk)), chunk) for chunk in chunks]


class _Output:
    """Collects the frames of many streams of one connection, so that they go to the socket together."""

    def __init__(self, connection: StreamOwner, framed_of: Callable[[bytes], FramedResponse]) -> None:
        self._connection = connection
        self._flow = connection.flow
        self._framed_of = framed_of
        self._framed_response: FramedResponse | None = None
        self._frames: list[bytes] = []
        self._size = 0

    def send(self, response: bytes, stream: Stream) -> bool:
        """Send a response on a stream with nothing pending; False if flow control lets only a part of it through."""
        framed_response = self._framed_response
        if framed_response is None or framed_response.response is not response:
            framed_response = self._framed_response = self._framed_of(response)
        size, flow = framed_response.size, self._flow
        if size > stream.window or size > flow.window:
            stream.send(framed_response.whole)
            return stream.pending is None
        # As Stream.reserve does; calling it would take 6% longer for each response.
        stream.window -= size
        flow.window -= size
        stream_id = stream.stream_id_bytes
        for prefix, chunk in framed_response.frames:
            self._frames += (prefix, stream_id, chunk)
        self._size += size
        if self._size >= WRITE_BYTES:
            self.flush()
        return True

    def flush(self) -> None:
        """Hand what was collected to the socket."""
        if self._frames:
            self._connection.write(b"".join(self._frames))
            self._frames, self._size = [], 0


class ConnectionSender:
    """The streams of one connection. Those in `ready` have nothing pending and read nothing from the store."""

    def __init__(self, sender: FanoutSender, connection: StreamOwner) -> None:
        self.sources: dict[Call, ResponseSource] = {}
        self.ready: dict[Call, ResponseSource] = {}
        self._sender = sender
        self._connection = connection
        self._flow = connection.flow
        self._loop = asyncio.get_running_loop()
        self._readers: dict[Call, asyncio.Task[None]] = {}
        self._timers: dict[Call, asyncio.TimerHandle] = {}
        self._round: list[Call] = []
        self._deferred: dict[Call, None] = {}
        self._is_scheduled = False
        self._is_blocked = False

    def add(self, call: Call, source: ResponseSource) -> None:
        """Send what a source gives from now on, until the call ends."""
        call.on_end, call.on_flushed = partial(self.remove, call), partial(self.flushed, call)
        call.last_response = source.last_response
        self.sources[call] = self.ready[call] = source
        self.schedule()

    def remove(self, call: Call) -> None:
        """Forget a call that has ended."""
        del self.sources[call]
        self.ready.pop(call, None)
        self._deferred.pop(call, None)
        reader, timer = self._readers.pop(call, None), self._timers.pop(call, None)
        if reader is not None and reader is not asyncio.current_task():
            reader.cancel()
        if timer is not None:
            timer.cancel()
        if not self.sources:
            self._round.clear()
            self._sender.forget(self._connection)

    def flushed(self, call: Call) -> None:
        """Go on with a call whose pending response is sent."""
        source = self.sources.get(call)
        if source is not None and call not in self._readers:
            source.unblocked(self._loop.time())
            self.ready[call] = source
            self.schedule()

    def schedule(self) -> None:
        """Have `send` called in the next turn of the event loop."""
        if not self._is_scheduled:
            self._is_scheduled = True
            self._loop.call_soon(self.send)

    # ------------------------------------------------------------------------------------------------------ sending

    def send(self) -> None:
        """Send each ready stream one response; come again if there are more, or when the connection takes more."""
        self._is_scheduled = False
        now = self._loop.time()
        self._unblock(now)
        # A round that was interrupted goes on where it was, so that no stream is served twice before another.
        was_interrupted = bool(self._round)
        self._round = self._round or self._new_round()
        self._send_each(self._round, now)
        if was_interrupted and self._flow.is_open:
            self.schedule()

    def _send_each(self, calls: list[Call], now: float) -> None:
        """Take calls from the end of a list while the connection takes more, and send each that is ready a response."""
        budget, output, ready, flow = Budget(), _Output(self._connection, self._sender.framed), self.ready, self._flow
        has_more = False
        while calls and not flow.paused and flow.window > 0:
            call = calls.pop()
            source = ready.get(call)
            if source is None:
                continue
            try:
                response = source.next(now, budget)
            except Exception as error:
                call.fail(error)
                continue
            if response is None:
                self._wait(call, source, now)
            elif not output.send(response, call.stream):
                del ready[call]
                source.blocked(now)
            elif source.awaits == "turn":
                has_more = True
        output.flush()
        if (has_more or self._deferred) and self._flow.is_open:
            self.schedule()

    def _new_round(self) -> list[Call]:
        """Every ready call once, those that were deferred at the end: that is served first."""
        deferred, self._deferred = self._deferred, {}
        if not deferred:
            return list(self.ready)
        return [*(call for call in self.ready if call not in deferred), *deferred]

    def _wait(self, call: Call, source: ResponseSource, now: float) -> None:
        """Have a call that has no response now served again when there is what its source awaits."""
        if source.awaits == "entries":
            if source.due_at < now + CHECK_SECONDS and call not in self._timers:  # a replay has its own pace
                self._timers[call] = self._loop.call_at(source.due_at, self._serve, call)
        elif source.awaits == "turn":
            self._deferred[call] = None
        elif source.awaits == "page":
            del self.ready[call]
            self._readers[call] = asyncio.create_task(self._read(call, source))
        else:
            _end(call, source)

    def _serve(self, call: Call) -> None:
        del self._timers[call]
        self._send_each([call], self._loop.time())

    async def _read(self, call: Call, source: ResponseSource) -> None:
        """Read the page that a source awaits, and send its responses."""
        try:
            await source.read()
            await self._send_page(call, source)
        except Exception as error:
            call.fail(error)
        finally:
            self._readers.pop(call, None)

    async def _send_page(self, call: Call, source: ResponseSource) -> None:
        """Send responses while the page that was read is sure to be in memory."""
        for _ in range(RESPONSES_A_PAGE):
            await asyncio.sleep(0)  # a commit and its live followers take some ten turns, and wait for each of ours
            if not self._flow.is_open:
                break
            response = source.next(self._loop.time(), Budget())
            if response is None:
                break
            call.stream.send(self._sender.framed(response).whole)
            if call.stream.pending is not None:
                source.blocked(self._loop.time())
                return
        self.ready[call] = source
        self.schedule()

    def check(self, now: float) -> None:
        """Send heartbeats that are due and end stalled streams; to be called every CHECK_SECONDS."""
        self._unblock(now)
        if not self._flow.is_open:
            self._is_blocked = True
            for source in self.ready.values():
                source.blocked(now, sent=True)
        due = [call for call, source in self.sources.items() if source.due_at <= now and call not in self._readers]
        if not self._is_blocked:
            self._send_each([call for call in due if call in self.ready], now)
        for call in due:
            waits = call in self._readers or (call in self.ready and not self._is_blocked)
            found = self.sources.get(call)
            if found is not None and not waits and found.due_at <= now:
                found.next(now, Budget())  # it is blocked, so this returns nothing, and ends it if it has stalled
                if found.awaits == "end":
                    _end(call, found)

    def _unblock(self, now: float) -> None:
        """Let sources go on that were blocked as the connection was, if that can be written to again."""
        if self._is_blocked and self._flow.is_open:
            self._is_blocked = False
            for source in self.ready.values():
                source.unblocked(now)


class FanoutSender:
    """Sends all streams of one server."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._connections: dict[StreamOwner, ConnectionSender] = {}
        self._framed: dict[bytes, FramedResponse] = {}
        self._is_scheduled = False

    @property
    def streams(self) -> int:
        """How many streams are open."""
        return sum(len(sender.sources) for sender in self._connections.values())

    def start(self, subscribe: Subscribe) -> Callable[[], None]:
        """Send new entries from now on; returns how to stop that."""
        return subscribe(self._notify)

    def add(self, call: Call, source: ResponseSource) -> None:
        """Send the headers of a call, unless it has ended, and from then on what a source gives."""
        if call.is_open:
            call.begin()
            connection = call.stream.connection
            if connection not in self._connections:
                self._connections[connection] = ConnectionSender(self, connection)
            self._connections[connection].add(call, source)

    def forget(self, connection: StreamOwner) -> None:
        """Forget a connection without streams."""
        del self._connections[connection]

    def writable(self, connection: StreamOwner) -> None:
        """Go on with a connection that may be written to again."""
        sender = self._connections.get(connection)
        if sender is not None:
            sender.schedule()

    def check(self, now: float) -> None:
        """Send heartbeats that are due and end stalled streams; to be called every CHECK_SECONDS."""
        for sender in list(self._connections.values()):
            sender.check(now)

    def framed(self, response: bytes) -> FramedResponse:
        """Return the frames of a response, which streams on all connections share."""
        found = self._framed.get(response)
        if found is None:
            found = self._framed[response] = FramedResponse(response)
            if len(self._framed) > KEPT_FRAMES:
                del self._framed[next(iter(self._framed))]
        return found

    def _notify(self) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            self._loop.call_soon(self._send)

    def _send(self) -> None:
        self._is_scheduled = False
        for sender in list(self._connections.values()):
            sender.send()


def _end(call: Call, source: ResponseSource) -> None:
    """End a call as its source has ended. A response that is pending then was not read in time."""
    end = source.end
    call.stream.discard_pending()
    if end is None or end.error is None:
        call.finish(OK)
    else:
        call.fail(end.error, end.response)
