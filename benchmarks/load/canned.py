"""A server that does nothing: its response to every call is bytes made beforehand.

    python -m benchmarks.load.canned PORT

It serves HTTP/1.1 and, on connections that begin with its preface, HTTP/2; a response is about as long as a signal.
The rate of a load generator against it is the generator's upper limit.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import uvloop

from . import frames

ANSWER_BYTES = 1000
_REST_ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (ANSWER_BYTES, b"x" * ANSWER_BYTES)
_HEADERS = frames.header_block({":status": "200", "content-type": "application/grpc"})
_TRAILERS = frames.header_block({"grpc-status": "0"})
_MESSAGE = b"\0" + ANSWER_BYTES.to_bytes(4, "big") + b"x" * ANSWER_BYTES


class _Canned(asyncio.Protocol):
    def __init__(self) -> None:
        self._received = bytearray()
        self._is_http2: bool | None = None
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._is_http2 is None:
            self._is_http2 = self._received.startswith(frames.PREFACE)
            if self._is_http2:
                del self._received[: len(frames.PREFACE)]
                self._transport.write(frames.settings({}))
        if self._is_http2:
            self._send_responses()
        else:
            self._received.clear()
            self._transport.write(_REST_ANSWER)

    def _send_responses(self) -> None:
        for kind, flags, stream, payload in frames.taken_from(self._received):
            if kind == frames.SETTINGS and not flags & frames.ACK:
                self._transport.write(frames.frame(kind, frames.ACK, 0))
            elif kind == frames.DATA and flags & frames.END_STREAM:
                self._transport.write(
                    frames.window_update(len(payload))
                    + frames.frame(frames.HEADERS, frames.END_HEADERS, stream, _HEADERS)
                    + frames.frame(frames.DATA, 0, stream, _MESSAGE)
                    + frames.frame(frames.HEADERS, frames.END_HEADERS | frames.END_STREAM, stream, _TRAILERS)
                )


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(_Canned, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(int(sys.argv[1])))
