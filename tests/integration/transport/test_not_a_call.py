"""HTTP/2 requests that are not valid calls: each ends with a status, and the connection stays open."""

from __future__ import annotations

import gzip
import logging

import pytest
from tests.support import http2 as h2
from tests.support.http2 import http2_peer
from tests.support.logs import Log

from tradingsignals.v1.event_service_pb2 import StreamEventsRequest

from .conftest import fanout_server


def opening(**more: str | None) -> bytes:
    return h2.frame(h2.HEADERS, h2.END_HEADERS, 3, h2.block(h2.headers(**more)))


END = h2.frame(h2.DATA, h2.END_STREAM, 3, h2.framed(StreamEventsRequest()))


def long_headers() -> bytes:
    """Headers of 20 KB, in two frames."""
    block = h2.block([*h2.headers(), *((f"x-{n}", "y" * 1000) for n in range(20))])
    first = h2.frame(h2.HEADERS, 0, 3, block[:16_000])
    return first + h2.frame(h2.CONTINUATION, h2.END_HEADERS, 3, block[16_000:])


REFUSED = {
    "GET": (opening(**{":method": "GET"}), "405", "12"),
    "no type": (opening(content_type=None), "415", "3"),
    "another type": (opening(content_type="application/grpcish"), "415", "3"),
    "compressed with an unknown encoding": (
        opening(grpc_encoding="zstd") + h2.frame(h2.DATA, 1, 3, h2.framed(b"", flag=1)),
        "200",
        "12",
    ),
    "compressed without an encoding": (opening() + h2.frame(h2.DATA, 1, 3, h2.framed(b"", flag=1)), "200", "13"),
    "compressed and cut": (
        opening(grpc_encoding="gzip") + h2.frame(h2.DATA, 1, 3, h2.framed(gzip.compress(b"x" * 99)[:-3], flag=1)),
        "200",
        "3",
    ),
    "compressed and followed by more": (
        opening(grpc_encoding="gzip") + h2.frame(h2.DATA, 1, 3, h2.framed(gzip.compress(b"") + b"x", flag=1)),
        "200",
        "3",
    ),
    "a small message that inflates to much": (
        opening(grpc_encoding="gzip") + h2.frame(h2.DATA, 1, 3, h2.framed(gzip.compress(bytes(1 << 24)), flag=1)),
        "200",
        "8",
    ),
    "a deadline that cannot be read": (opening(grpc_timeout="5 seconds") + END, "200", "3"),
    "too many headers": (long_headers() + END, "431", "8"),
    "two messages": (opening() + h2.frame(h2.DATA, 1, 3, h2.framed(b"") * 2), "200", "3"),
    "no message": (opening() + h2.frame(h2.DATA, 1, 3, b""), "200", "3"),
    "nothing after the headers": (
        h2.frame(h2.HEADERS, h2.END_HEADERS | h2.END_STREAM, 3, h2.block(h2.headers())),
        "200",
        "3",
    ),
    "half a message": (opening() + h2.frame(h2.DATA, 1, 3, b"\0\0\0\0\5ab"), "200", "3"),
    "too large a message": (opening() + h2.frame(h2.DATA, 0, 3, b"\0\0\x01\0\0"), "200", "8"),
}


@pytest.mark.parametrize(("sent", "status", "code"), REFUSED.values(), ids=REFUSED)
async def test_invalid_call_ends_with_a_status_and_leaves_the_connection_open(
    caplog: pytest.LogCaptureFixture, sent: bytes, status: str, code: str
) -> None:
    async with fanout_server(await Log.with_entries(0)) as server, http2_peer(server.port) as peer:
        peer.send(sent)
        ended = await peer.headers(3)
        assert (ended[":status"], ended["grpc-status"]) == (status, code)
        assert ended["grpc-message"]
        peer.send(h2.request(5))
        assert (await peer.headers(5))[":status"] == "200"
    assert not [line for line in caplog.records if line.levelno >= logging.WARNING], "it is no fault of ours"
