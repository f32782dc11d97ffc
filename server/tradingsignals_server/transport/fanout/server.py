"""The HTTP/2 server with fan-out: connections are accepted, calls are served, and all of it ends in order."""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

import grpc

from ..admission import Gate, OpenGate
from ..certificates import Certificates
from ..grpc import headers
from ..grpc.call import Call
from ..grpc.health import HEALTH_CHECK, HealthCheck
from ..grpc.metadata import idempotency_key, last_event_id, response_metadata, text_of
from ..grpc.registration import Metadata
from ..grpc.server import GRACE_SECONDS, PortTaken
from ..grpc.status import CallRules, CallStatus
from ..http2.limits import Limits
from ..http2.protocol import Http2Protocol
from ..http2.request_headers import Request
from ..http2.stream import Stream, StreamOwner
from ..http2.tls import Handshakes, TlsProtocol
from ..methods import ClientStreaming, Methods, ServerStreaming, Subscribe, Unary
from .sender import CHECK_SECONDS, FanoutSender

BACKLOG: Final = 4096
"""Connections that may wait to be accepted."""


class FanoutServer:
    """Serves unary methods and streams of responses on `port`."""

    def __init__(
        self,
        methods: Methods,
        rules: CallRules,
        subscribe: Subscribe,
        stream_metadata: Metadata = (),
        limits: Limits | None = None,
        gate: Gate | None = None,
        certificates: Certificates | None = None,
    ) -> None:
        """Args:
        methods: what is served; a method with a stream of requests is not.
        rules: what is known of the service.
        subscribe: notifies of new entries for streams.
        stream_metadata: initial metadata of every stream.
        limits: bounds of a connection.
        gate: admits calls; without one every call is.
        certificates: what peers have to accept and to show; without them nothing is encrypted.
        """
        self.port = 0
        self._health = HealthCheck()
        self._methods: dict[str, Unary | ServerStreaming] = {
            path: method for path, method in methods.items() if not isinstance(method, ClientStreaming)
        }
        self._methods[HEALTH_CHECK] = Unary(self._health.check)
        self._rules = rules
        self._subscribe = subscribe
        self._stream_headers = headers.response_headers(stream_metadata)
        self._sender = FanoutSender()
        self._limits = limits or Limits()
        self._gate = gate or OpenGate()
        self._certificates = certificates
        self._handshakes = Handshakes(self._limits)
        self._connections: dict[Http2Protocol, None] = {}
        """All of them, the oldest first."""
        self._all_closed = asyncio.Event()
        self._all_closed.set()

    @property
    def streams(self) -> int:
        """How many streams of responses are open."""
        return self._sender.streams

    def not_serving(self) -> None:
        """Report to health checks that this server is about to stop; calls under way go on."""
        self._health.is_serving = False

    # ------------------------------------------------------------------------------------- see ConnectionListener

    def connection_made(self, protocol: Http2Protocol) -> None:
        """See ConnectionListener."""
        self._connections[protocol] = None
        self._all_closed.clear()
        if len(self._connections) > self._limits.connections:
            # The new one is the newest of them, so it is closed itself if all others are in use.
            next(each for each in self._connections if each.connection.is_unused).connection.abort()

    def connection_lost(self, protocol: Http2Protocol) -> None:
        """See ConnectionListener."""
        del self._connections[protocol]
        if not self._connections:
            self._all_closed.set()

    def connection_writable(self, connection: StreamOwner) -> None:
        """See ConnectionListener."""
        self._sender.writable(connection)

    def request_received(self, stream: Stream, request: Request) -> Call:
        """See ConnectionListener."""
        call = Call(stream, request, self._stream_headers, self._rules, self._receive)
        refusal, http_status = self._refusal_of(request, call)
        if refusal is not None:
            call.finish(refusal, http_status=http_status)
            return call
        try:
            call.admission = self._gate.admit(
                request.path,
                lambda name: text_of(request.headers.get(name.encode())),
                stream.connection.peer,
            )
        except Exception as error:
            call.fail(error)
        return call

    def _refusal_of(self, request: Request, call: Call) -> tuple[CallStatus | None, int]:
        """Return the status, and the HTTP status, that the headers of a request are refused with, if they are."""
        if request.size > self._limits.header_bytes:
            message = f"the headers have {request.size} bytes, at most {self._limits.header_bytes} are taken"
            return CallStatus(grpc.StatusCode.RESOURCE_EXHAUSTED, message), 431
        if request.method != b"POST":
            return CallStatus(grpc.StatusCode.UNIMPLEMENTED, "a call of gRPC is a POST"), 405
        if not headers.is_grpc(request.headers.get(b"content-type", b"")):
            return CallStatus(grpc.StatusCode.INVALID_ARGUMENT, "the content type is not application/grpc"), 415
        if request.path not in self._methods:
            return CallStatus(grpc.StatusCode.UNIMPLEMENTED, "Method not found!"), 200
        if call.timeout_seconds is not None and math.isnan(call.timeout_seconds):
            message = "grpc-timeout is not a number of up to 8 digits and a unit"
            return CallStatus(grpc.StatusCode.INVALID_ARGUMENT, message), 200
        return None, 200

    # ------------------------------------------------------------------------------------------------------- calls

    def _receive(self, call: Call, request: bytes) -> None:
        call.task = asyncio.get_running_loop().create_task(self._serve(call, self._methods[call.method], request))

    async def _serve(self, call: Call, method: Unary | ServerStreaming, request: bytes) -> None:
        call.identify()
        last_event_id.set(call.last_event_id)
        idempotency_key.set(call.idempotency_key)
        admission = call.admission
        try:
            if admission is not None:
                admission.enter()
            if isinstance(method, Unary):
                response = await method.call(request)
                call.respond(response, response_metadata.get())
            else:
                if admission is not None:
                    admission.hold(call.withdraw)
                self._sender.add(call, await method.open(request))
        except Exception as error:
            call.fail(error)

    # ------------------------------------------------------------------------------------------ start, check, stop

    def start(self) -> None:
        """Send new entries to streams from now on."""
        self._unsubscribe = self._sender.start(self._subscribe)

    def check(self, now: float) -> None:
        """Apply the limits of time to streams and connections; `now` is the loop's time."""
        self._sender.check(now)
        self._handshakes.check(now)
        for connection in list(self._connections):
            connection.check_timeouts()

    @asynccontextmanager
    async def running(self, host: str, port: int) -> AsyncIterator[FanoutServer]:
        """Listen until the end of the context; a port of 0 takes a free one.

        At the end no call comes in any more, and those under way have GRACE_SECONDS to end.

        Raises:
            PortTaken: the address cannot be listened on.
        """
        loop = asyncio.get_running_loop()
        try:
            listening = await loop.create_server(self._protocol, host, port, backlog=BACKLOG, reuse_port=False)
        except OSError as error:
            raise PortTaken(host, port, os.strerror(error.errno or 0).lower(), "FANOUT_PORT") from error
        self.port = listening.sockets[0].getsockname()[1]
        self.start()
        checking = asyncio.create_task(self._check_regularly())
        try:
            yield self
        finally:
            listening.close()
            self._handshakes.abort()
            for connection in list(self._connections):
                connection.connection.drain()
            with suppress(TimeoutError):
                async with asyncio.timeout(GRACE_SECONDS):
                    await self._all_closed.wait()
            for connection in list(self._connections):
                connection.connection.abort()
            await self._all_closed.wait()
            self._unsubscribe()
            checking.cancel()
            await asyncio.wait([checking])

    def _protocol(self) -> asyncio.Protocol:
        if self._certificates is None:
            return Http2Protocol(self, self._limits)
        context = self._certificates.current.server
        return TlsProtocol(context, lambda: Http2Protocol(self, self._limits), self._handshakes)

    async def _check_regularly(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            self.check(loop.time())
