"""The server of the lean path: connections come in, calls are served, and all of it ends in order."""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Final

import grpc
from google.protobuf.message import Message

from ...api.mapping.validation import message_of
from ...api.methods import Method, Methods
from ...api.streams import WriteBlocked
from ...application.event_log.tail import Broadcast
from ...domain.errors import FollowerStalled, MalformedMessage, ServiceError
from ..grpc import headers
from ..grpc.call import Call
from ..grpc.metadata import last_event_id, request_id
from ..grpc.registration import STALL_SECONDS, Metadata
from ..grpc.server import GRACE_SECONDS, PortTaken
from ..http2.limits import Limits
from ..http2.protocol import Http2Protocol
from ..http2.request_headers import Request
from ..http2.stream import Stream, StreamOwner
from .fanout import Fanout, Follow

LOOK_SECONDS: Final = 0.25
"""How often silent followers and silent peers are looked after."""
BACKLOG: Final = 4096
"""Connections that may wait to be accepted."""


class LeanServer:
    """A server that listens on `port`."""

    def __init__(
        self,
        broadcast: Broadcast,
        servicers: Mapping[str, object],
        metadata: Metadata,
        stall_seconds: float,
        limits: Limits,
    ) -> None:
        self.port = 0
        self._answer_headers = headers.response_headers(metadata)
        self._stall_seconds = stall_seconds
        self._methods = Methods(broadcast, servicers)
        self._fanout = Fanout(broadcast, stall_seconds)
        self._limits = limits
        self._connections: dict[Http2Protocol, None] = {}
        """All of them, the oldest first."""
        self._all_gone = asyncio.Event()
        self._all_gone.set()

    @property
    def followers(self) -> int:
        """How many follow now."""
        return self._fanout.followers

    def not_serving(self) -> None:
        """Tell health checks that this server is about to go; calls under way go on."""
        self._methods.is_serving = False

    def start(self) -> Callable[[], None]:
        """Deliver what is committed from now on; returns how to stop that."""
        return self._fanout.start()

    def look_after(self, now: float) -> None:
        """Be called now and then, with the loop's time: silent followers and silent peers are looked after."""
        self._fanout.look_after(now)
        for connection in list(self._connections):
            connection.check_timeouts()

    # ---------------------------------------------------------------------------------- see ConnectionListener

    def connection_made(self, protocol: Http2Protocol) -> None:
        """See ConnectionListener."""
        self._connections[protocol] = None
        self._all_gone.clear()
        if len(self._connections) > self._limits.connections:
            # The new one is the newest of them, so it goes itself if all others are in use.
            next(each for each in self._connections if each.connection.is_unused).connection.abort()

    def connection_lost(self, protocol: Http2Protocol) -> None:
        """See ConnectionListener."""
        del self._connections[protocol]
        self._fanout.forget(protocol.connection)
        if not self._connections:
            self._all_gone.set()

    def connection_writable(self, connection: StreamOwner) -> None:
        """See ConnectionListener."""
        self._fanout.continue_writing(connection)

    def request_received(self, stream: Stream, request: Request) -> Call:
        """See ConnectionListener."""
        call = Call(stream, request, self._answer_headers, self._receive)
        if request.size > self._limits.header_bytes:
            told = f"the headers have {request.size} bytes, at most {self._limits.header_bytes} are taken"
            call.end(grpc.StatusCode.RESOURCE_EXHAUSTED, told, http_status=431)
        elif request.method != b"POST":
            call.end(grpc.StatusCode.UNIMPLEMENTED, "a call of gRPC is a POST", http_status=405)
        elif not headers.is_grpc(request.headers.get(b"content-type", b"")):
            call.end(grpc.StatusCode.INVALID_ARGUMENT, "the content type is not application/grpc", http_status=415)
        elif request.path not in self._methods.at:
            call.end(grpc.StatusCode.UNIMPLEMENTED, "Method not found!")
        elif call.timeout_seconds is not None and math.isnan(call.timeout_seconds):
            call.end(grpc.StatusCode.INVALID_ARGUMENT, "grpc-timeout is not a number of up to 8 digits and a unit")
        return call

    # ------------------------------------------------------------------------------------------------------- calls

    def _receive(self, call: Call, message: bytes) -> None:
        message_type, method = self._methods.at[call.method]
        try:
            request = message_of(message_type.FromString, message)
        except MalformedMessage as error:
            call.fail(error)
            return
        call.task = asyncio.get_running_loop().create_task(self._serve(call, method, request))

    async def _serve(self, call: Call, method: Method, request: Message) -> None:
        request_id.set(call.name)
        last_event_id.set(call.last_event_id)
        try:
            served = await method(request)
            if isinstance(served, bytes):
                call.answer(served)
            elif isinstance(served, Follow):
                self._fanout.join(call, served)
            else:
                await self._send_all(call, served)
                call.end()
        except FollowerStalled as error:
            call.fail_now(error)
        except ServiceError as error:
            call.fail(error)
        except Exception as error:
            call.fail_unexpectedly(error)

    async def _send_all(self, call: Call, answers: AsyncGenerator[bytes]) -> None:
        """Send answers one by one, at the pace at which they are taken."""
        call.begin()
        async with aclosing(answers):
            async for answer in answers:
                try:
                    await call.send(answer, self._stall_seconds)
                except TimeoutError:
                    await answers.athrow(WriteBlocked(self._stall_seconds))

    # ------------------------------------------------------------------------------------------------ life and death

    @asynccontextmanager
    async def running(self, host: str, port: int) -> AsyncIterator[LeanServer]:
        """Listen until the end of the context; see `running_lean_server`."""
        loop = asyncio.get_running_loop()
        try:
            listening = await loop.create_server(
                lambda: Http2Protocol(self, self._limits), host, port, backlog=BACKLOG, reuse_port=False
            )
        except OSError as error:
            raise PortTaken(host, port, os.strerror(error.errno or 0).lower(), "LEAN_PORT") from error
        self.port = listening.sockets[0].getsockname()[1]
        silence = self.start()
        looking = asyncio.create_task(self._keep_looking())
        try:
            yield self
        finally:
            listening.close()
            for connection in list(self._connections):
                connection.connection.drain()
            with suppress(TimeoutError):
                async with asyncio.timeout(GRACE_SECONDS):
                    await self._all_gone.wait()
            for connection in list(self._connections):
                connection.connection.abort()
            await self._all_gone.wait()
            silence()
            looking.cancel()
            await asyncio.wait([looking])

    async def _keep_looking(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self.look_after(loop.time())


@asynccontextmanager
async def running_lean_server(
    host: str,
    port: int,
    broadcast: Broadcast,
    servicers: Mapping[str, object],
    stream_metadata: Metadata = (),
    stall_seconds: float = STALL_SECONDS,
    limits: Limits | None = None,
) -> AsyncIterator[LeanServer]:
    """Serve until the end of the context; a port of 0 takes a free one.

    `servicers`, by the short name of their service, answer single calls; followers are served from `broadcast`. Every
    stream begins with `stream_metadata`, and is ended if it takes nothing for `stall_seconds`. At the end no call
    comes in any more, and those under way have GRACE_SECONDS to end: stop the broadcast first.

    Raises:
        PortTaken: the address cannot be listened on.
    """
    lean = LeanServer(broadcast, servicers, stream_metadata, stall_seconds, limits or Limits())
    async with lean.running(host, port) as server:
        yield server
