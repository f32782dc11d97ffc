"""A server that only writes: on request it sends responses made beforehand to all of its followers.

    python -m benchmarks.load.canned_streams PORT

It serves gRPC, gRPC-Web, server-sent events and WebSocket, all on one port. POST /write?responses=N&events=M
sends every follower N responses with M signals each, with one write for each connection and response.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import Callable
from typing import Any

import uvloop

from tradingsignals.v1.signal_pb2 import Signal
from tradingsignals.v1.signal_service_pb2 import StreamSignalsResponse

from . import frames

PATHS = {"grpc": "/canned.Service/Stream", "grpc-web": "/grpc-web", "sse": "/sse", "websocket": "/websocket"}
REASONING = "as long as that of a signal is, with its sentences on what the indicators say " * 4

_ANSWERED = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
_CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
_SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\r\n"
_HEADERS = frames.header_block({":status": "200", "content-type": "application/grpc"})

_FRAME_BYTES = 16_384
"""The default maximum of an HTTP/2 frame's payload."""

Framing = Callable[[bytes], bytes]


class _Server:
    def __init__(self) -> None:
        self.followers: dict[_Follower, Framing] = {}
        self._known: dict[tuple[Framing, int, int], bytes] = {}

    def write(self, responses: int, events: int) -> None:
        """Send `responses` responses to all followers."""
        for number in range(responses):
            for follower, framing in self.followers.items():
                written = self._known.get((framing, number, events))
                if written is None:
                    written = self._known[framing, number, events] = framing(_response(framing, number, events))
                follower.write(written)


class _Follower(asyncio.Protocol):
    def __init__(self, server: _Server) -> None:
        self._server = server
        self._received = bytearray()
        self._is_http2 = False
        self._streams: list[int] = []
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._server.followers.pop(self, None)

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not self._is_http2 and self._received.startswith(frames.PREFACE):
            self._is_http2 = True
            del self._received[: len(frames.PREFACE)]
            self._transport.write(frames.settings({}))
        if self._is_http2:
            self._take_frames()
        elif b"\r\n\r\n" in self._received:
            self._take_request(self._received.split(b" ", 2)[1].decode())

    def write(self, response: bytes) -> None:
        """Send one response, which is framed already except on HTTP/2."""
        if self._is_http2:
            pieces = [response[start : start + _FRAME_BYTES] for start in range(0, len(response), _FRAME_BYTES)]
            response = b"".join(
                frames.frame(frames.DATA, 0, stream, piece) for stream in self._streams for piece in pieces
            )
        self._transport.write(response)

    def _take_frames(self) -> None:
        for kind, flags, stream, _ in frames.taken_from(self._received):
            if kind == frames.SETTINGS and not flags & frames.ACK:
                self._transport.write(frames.frame(kind, frames.ACK, 0))
            elif kind == frames.DATA and flags & frames.END_STREAM:
                self._streams.append(stream)
                self._transport.write(frames.frame(frames.HEADERS, frames.END_HEADERS, stream, _HEADERS))
                self._server.followers[self] = _grpc

    def _take_request(self, target: str) -> None:
        self._received.clear()
        followed = {PATHS["grpc-web"]: _grpc_web, PATHS["sse"]: _sse, PATHS["websocket"]: _websocket}
        framing = followed.get(target)
        if framing is not None:
            self._transport.write(_SWITCHED if framing is _websocket else _CHUNKED)
            self._server.followers[self] = framing
            return
        if request := re.fullmatch(r"/write\?responses=(\d+)&events=(\d+)", target):
            self._server.write(int(request[1]), int(request[2]))
        self._transport.write(_ANSWERED)
        self._transport.close()


def _response(framing: Framing, number: int, events: int) -> bytes:
    through = (number + 1) * events
    if framing in {_sse, _websocket}:
        return json.dumps({"signals": [{"reasoning": [REASONING]}] * events, "through_sequence": str(through)}).encode()
    response = StreamSignalsResponse(signals=[Signal(reasoning=[REASONING])] * events, through_sequence=through)
    return response.SerializeToString()


def _grpc(message: bytes) -> bytes:
    return b"\0" + len(message).to_bytes(4, "big") + message


def _chunk(content: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(content), content)


def _grpc_web(message: bytes) -> bytes:
    return _chunk(_grpc(message))


def _sse(response: bytes) -> bytes:
    return _chunk(b"data: %s\n\n" % response)


def _websocket(response: bytes) -> bytes:
    return b"\x81\x7e" + len(response).to_bytes(2, "big") + response


async def _serve(port: int) -> None:
    server = _Server()
    listening = await asyncio.get_running_loop().create_server(
        lambda: _Follower(server), "127.0.0.1", port, backlog=4096
    )
    await listening.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(int(sys.argv[1])))
