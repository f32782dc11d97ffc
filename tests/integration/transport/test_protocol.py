"""HTTP/2 frame by frame: requirements on a server, and errors of peers."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.support import http2 as h2
from tests.support.http2 import http2_peer
from tests.support.logs import Log
from tests.support.sockets import connected

from tradingsignals.v1.event_service_pb2 import StreamEventsRequest, StreamEventsResponse
from tradingsignals_server.transport.fanout.server import FanoutServer

from .conftest import fanout_server, followers


@pytest.fixture
async def log() -> Log:
    return await Log.with_entries(0)


@pytest.fixture
async def server(log: Log) -> AsyncIterator[FanoutServer]:
    async with fanout_server(log) as server:
        yield server


def sequences(message: bytes) -> list[int]:
    return [event.sequence for event in StreamEventsResponse.FromString(message).events]


# --------------------------------------------------------------------------------------------------------- requirements


async def test_settings_are_sent_first_and_settings_and_pings_are_acknowledged(server: FanoutServer) -> None:
    async with http2_peer(server.port) as peer:
        first = await peer.next()
        assert (first.type, first.flags, first.stream) == (h2.SETTINGS, 0, 0)
        while (found := await peer.next(h2.SETTINGS)).flags != h2.ACK:
            pass
        assert found.payload == b""
        peer.send(h2.frame(h2.PING, 0, 0, b"12345678"))
        pong = await peer.next(h2.PING)
        assert (pong.flags, pong.payload) == (h2.ACK, b"12345678")


async def test_request_may_be_split_into_frames_anywhere(server: FanoutServer, log: Log) -> None:
    """CONTINUATION, padding and priority, and the body in parts."""
    block, body = h2.block(h2.headers()), h2.framed(StreamEventsRequest())
    padded = bytes((3,)) + b"\0\0\0\0\x10" + block[:5] + b"\0\0\0"
    async with http2_peer(server.port) as peer:
        peer.send(
            h2.frame(h2.HEADERS, h2.PADDED | h2.PRIORITISED, 1, padded),
            h2.frame(h2.CONTINUATION, 0, 1, block[5:9]),
            h2.frame(h2.CONTINUATION, h2.END_HEADERS, 1, block[9:]),
            h2.frame(h2.DATA, h2.PADDED, 1, bytes((2,)) + body[:3] + b"\0\0"),
            h2.frame(h2.DATA, 0, 1, body[3:]),
            h2.frame(h2.DATA, h2.END_STREAM, 1, b""),
        )
        begun = await peer.headers(1)
        assert (begun[":status"], begun["content-type"]) == ("200", "application/grpc")
        log.append()
        assert sequences(await peer.message(1)) == [1]


async def test_trailers_may_end_a_request(server: FanoutServer, log: Log) -> None:
    async with http2_peer(server.port) as peer:
        peer.send(
            h2.frame(h2.HEADERS, h2.END_HEADERS, 1, h2.block(h2.headers())),
            h2.frame(h2.DATA, 0, 1, h2.framed(StreamEventsRequest())),
            h2.frame(h2.HEADERS, h2.END_HEADERS | h2.END_STREAM, 1, h2.block([("x-checksum", "1")])),
        )
        await peer.headers(1)


async def test_unknown_frames_and_settings_are_ignored(server: FanoutServer) -> None:
    async with http2_peer(server.port, {0x77: 1, h2.MAX_FRAME_SIZE: 1 << 20}) as peer:
        peer.send(h2.frame(0xEE, 0xFF, 5, b"whatever"), h2.frame(h2.PRIORITY, 0, 9, b"\0\0\0\0\1"))
        peer.send(h2.request(1))
        assert (await peer.headers(1))[":status"] == "200"


async def test_nothing_is_sent_beyond_the_windows(server: FanoutServer, log: Log) -> None:
    """Of the stream, of the connection, and as the initial window changes while the stream is open."""
    async with http2_peer(server.port, {h2.INITIAL_WINDOW_SIZE: 10}) as peer:
        peer.send(h2.request(1))
        await peer.headers(1)
        log.append(3)
        body = (await peer.next(h2.DATA, 1)).payload
        assert len(body) == 10
        peer.send(h2.window_update(1, 7), h2.frame(h2.PING, 0, 0, b"ordering"))
        body += (await peer.next(h2.DATA, 1)).payload
        assert len(body) == 17
        peer.send(h2.settings({h2.INITIAL_WINDOW_SIZE: 0}))  # now the window is 17 - 17 - 10
        peer.send(h2.window_update(1, 9), h2.frame(h2.PING, 0, 0, b"a window"))
        while (found := await peer.next()).type != h2.PING or found.payload != b"a window":
            assert found.type != h2.DATA
        peer.send(h2.settings({h2.INITIAL_WINDOW_SIZE: 1 << 20}))
        while len(body) < 5 or len(body) < 5 + int.from_bytes(body[1:5], "big"):
            body += (await peer.next(h2.DATA, 1)).payload
        assert sequences(body[5:]) == [1, 2, 3]


async def test_all_streams_share_the_window_of_the_connection(server: FanoutServer, log: Log) -> None:
    async with http2_peer(server.port, {h2.INITIAL_WINDOW_SIZE: 1 << 30}) as peer:
        peer.send(*(h2.request(stream) for stream in range(1, 200, 2)))
        await followers(server, 100)
        log.append(30)
        came: dict[int, bytes] = {}
        total = 0
        while total < 65_535:
            found = await peer.next(h2.DATA)
            came[found.stream] = came.get(found.stream, b"") + found.payload
            total += len(found.payload)
        assert total == 65_535
        peer.send(h2.frame(h2.PING, 0, 0, b"no more?"))
        while (found := await peer.next()).type != h2.PING or found.flags != h2.ACK:
            assert found.type != h2.DATA
        peer.send(h2.window_update(0, 1 << 30))
        expected = [log.store.entries[-1].sequence] * 100
        whole: dict[int, int] = {}
        while len(whole) < 100:
            for stream, body in came.items():
                if len(body) >= 5 and len(body) == 5 + int.from_bytes(body[1:5], "big"):
                    whole[stream] = StreamEventsResponse.FromString(body[5:]).through_sequence
            if len(whole) < 100:
                found = await peer.next(h2.DATA)
                came[found.stream] = came.get(found.stream, b"") + found.payload
        assert list(whole.values()) == expected


async def test_reset_stream_receives_no_further_events(server: FanoutServer, log: Log) -> None:
    async with http2_peer(server.port) as peer:
        peer.send(h2.request(1), h2.request(3))
        await peer.headers(1)
        await peer.headers(3)
        peer.send(h2.frame(h2.RST_STREAM, 0, 1, h2.CANCEL.to_bytes(4, "big")))
        await followers(server, 1)
        log.append()
        assert (await peer.next(h2.DATA)).stream == 3
    await followers(server, 0)


async def test_stopping_server_ends_its_streams_with_a_reason(log: Log) -> None:
    async with fanout_server(log) as server, http2_peer(server.port) as peer:
        peer.send(h2.request(1))
        await peer.headers(1)
        log.log_tail.stop()
        last_response = StreamEventsResponse.FromString(await peer.message(1))
        assert last_response.events[0].error.reason == "SHUTTING_DOWN"
        ended = await peer.headers(1)
        assert (ended["grpc-status"], "grpc-status-details-bin" in ended) == ("14", True)


async def test_goaway_of_the_peer_refuses_streams_and_closes_with_the_last(server: FanoutServer, log: Log) -> None:
    async with http2_peer(server.port) as peer:
        peer.send(h2.request(1))
        await peer.headers(1)
        peer.send(h2.frame(h2.GOAWAY, 0, 0, bytes(8)), h2.request(3))
        assert ((await peer.next(h2.RST_STREAM)).stream) == 3
        log.append()
        assert sequences(await peer.message(1)) == [1]
        peer.send(h2.frame(h2.RST_STREAM, 0, 1, h2.CANCEL.to_bytes(4, "big")))
        await peer.closed()


async def test_health_check_reports_whether_the_server_is_serving(server: FanoutServer) -> None:
    async with http2_peer(server.port) as peer:
        peer.send(h2.request(1, b"", "/grpc.health.v1.Health/Check"))
        assert (await peer.headers(1))[":status"] == "200"
        assert await peer.message(1) == b"\x08\x01"
        assert (await peer.headers(1))["grpc-status"] == "0"
        server.not_serving()
        peer.send(h2.request(3, b"", "/grpc.health.v1.Health/Check"))
        assert await peer.message(3) == b"\x08\x02"


# ------------------------------------------------------------------------------------------------------ protocol errors

HEAD = h2.frame(h2.HEADERS, h2.END_HEADERS, 1, h2.block(h2.headers()))
OPEN = h2.request(1)


@pytest.mark.parametrize(
    ("sent", "code"),
    {
        "first not SETTINGS": (h2.PREFACE + h2.frame(h2.PING, 0, 0, bytes(8)), h2.PROTOCOL_ERROR),
        "no preface": (b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n", h2.PROTOCOL_ERROR),
    }.values(),
)
async def test_connection_without_preface_or_settings_is_ended(server: FanoutServer, sent: bytes, code: int) -> None:
    async with http2_peer(server.port) as peer:
        pass
    async with connected(server.port) as (reader, writer):
        peer = h2.Peer(reader, writer)
        peer.send(sent)
        assert (await peer.next(h2.GOAWAY)).code == code
        await peer.closed()


BROKEN = {
    "DATA on 0": (h2.frame(h2.DATA, 0, 0, b"x"), h2.PROTOCOL_ERROR),
    "DATA on idle": (h2.frame(h2.DATA, 0, 5, b"x"), h2.PROTOCOL_ERROR),
    "DATA all padding": (HEAD + h2.frame(h2.DATA, h2.PADDED, 1, b"\x09x"), h2.PROTOCOL_ERROR),
    "DATA without its padding": (HEAD + h2.frame(h2.DATA, h2.PADDED, 1, b""), h2.FRAME_SIZE_ERROR),
    "HEADERS on 0": (h2.frame(h2.HEADERS, h2.END_HEADERS, 0, b""), h2.PROTOCOL_ERROR),
    "HEADERS on even": (h2.frame(h2.HEADERS, h2.END_HEADERS, 2, b""), h2.PROTOCOL_ERROR),
    "HEADERS short of priority": (h2.frame(h2.HEADERS, h2.PRIORITISED, 1, b"\0\0"), h2.FRAME_SIZE_ERROR),
    "HEADERS undecodable": (h2.frame(h2.HEADERS, h2.END_HEADERS, 1, b"\xff\xff\xff\xff\xff\xff"), h2.COMPRESSION_ERROR),
    "HEADERS cut in two": (h2.frame(h2.HEADERS, 0, 1, b"") + h2.frame(h2.PING, 0, 0, bytes(8)), h2.PROTOCOL_ERROR),
    "CONTINUATION of nothing": (h2.frame(h2.CONTINUATION, 0, 1, b""), h2.PROTOCOL_ERROR),
    "CONTINUATION of another": (
        h2.frame(h2.HEADERS, 0, 1, b"") + h2.frame(h2.CONTINUATION, 0, 3, b""),
        h2.PROTOCOL_ERROR,
    ),
    "CONTINUATION without end": (
        h2.frame(h2.HEADERS, 0, 1, b"") + h2.frame(h2.CONTINUATION, 0, 1, bytes(16_000)) * 10,
        h2.ENHANCE_YOUR_CALM,
    ),
    "PRIORITY on 0": (h2.frame(h2.PRIORITY, 0, 0, bytes(5)), h2.PROTOCOL_ERROR),
    "RST_STREAM on 0": (h2.frame(h2.RST_STREAM, 0, 0, bytes(4)), h2.PROTOCOL_ERROR),
    "RST_STREAM on idle": (h2.frame(h2.RST_STREAM, 0, 7, bytes(4)), h2.PROTOCOL_ERROR),
    "RST_STREAM of 3 bytes": (OPEN + h2.frame(h2.RST_STREAM, 0, 1, bytes(3)), h2.FRAME_SIZE_ERROR),
    "SETTINGS on 1": (h2.frame(h2.SETTINGS, 0, 1, b""), h2.PROTOCOL_ERROR),
    "SETTINGS of 5 bytes": (h2.frame(h2.SETTINGS, 0, 0, bytes(5)), h2.FRAME_SIZE_ERROR),
    "SETTINGS ack with a payload": (h2.frame(h2.SETTINGS, h2.ACK, 0, bytes(6)), h2.FRAME_SIZE_ERROR),
    "SETTINGS push of 2": (h2.settings({2: 2}), h2.PROTOCOL_ERROR),
    "SETTINGS window too large": (h2.settings({4: 1 << 31}), h2.FLOW_CONTROL_ERROR),
    "SETTINGS frame too small": (h2.settings({5: 1}), h2.PROTOCOL_ERROR),
    "SETTINGS window overflows": (
        OPEN + h2.window_update(1, 2**31 - 1 - 65_535) + h2.settings({4: 65_536}),
        h2.FLOW_CONTROL_ERROR,
    ),
    "PUSH_PROMISE": (h2.frame(h2.PUSH_PROMISE, 4, 1, bytes(4)), h2.PROTOCOL_ERROR),
    "PING on 1": (h2.frame(h2.PING, 0, 1, bytes(8)), h2.PROTOCOL_ERROR),
    "PING of 7 bytes": (h2.frame(h2.PING, 0, 0, bytes(7)), h2.FRAME_SIZE_ERROR),
    "GOAWAY on 1": (h2.frame(h2.GOAWAY, 0, 1, bytes(8)), h2.PROTOCOL_ERROR),
    "GOAWAY of 7 bytes": (h2.frame(h2.GOAWAY, 0, 0, bytes(7)), h2.FRAME_SIZE_ERROR),
    "WINDOW_UPDATE of 3 bytes": (h2.frame(h2.WINDOW_UPDATE, 0, 0, bytes(3)), h2.FRAME_SIZE_ERROR),
    "WINDOW_UPDATE by 0": (h2.window_update(0, 0), h2.PROTOCOL_ERROR),
    "WINDOW_UPDATE on idle": (h2.window_update(5, 1), h2.PROTOCOL_ERROR),
    "WINDOW_UPDATE overflows": (h2.window_update(0, 2**31 - 1), h2.FLOW_CONTROL_ERROR),
    "HEADERS on a lower stream": (
        h2.frame(h2.HEADERS, h2.END_HEADERS, 5, h2.block(h2.headers()))
        + h2.frame(h2.HEADERS, h2.END_HEADERS, 3, h2.block(h2.headers())),
        h2.PROTOCOL_ERROR,
    ),
    "HEADERS on a stream used before": (
        OPEN + h2.frame(h2.RST_STREAM, 0, 1, bytes(4)) + HEAD,
        h2.PROTOCOL_ERROR,
    ),
    "a table size beyond the limit": (h2.frame(h2.HEADERS, h2.END_HEADERS, 1, b"\x3f\xe2\x1f"), h2.COMPRESSION_ERROR),
    "a table size in the middle": (
        h2.frame(h2.HEADERS, h2.END_HEADERS, 1, h2.block(h2.headers()) + b"\x20"),
        h2.COMPRESSION_ERROR,
    ),
    "an index beyond the table": (h2.frame(h2.HEADERS, h2.END_HEADERS, 1, b"\xff\x00"), h2.COMPRESSION_ERROR),
    "an index of 0": (h2.frame(h2.HEADERS, h2.END_HEADERS, 1, b"\x80"), h2.COMPRESSION_ERROR),
    "Huffman padding of more than 7 bits": (
        h2.frame(h2.HEADERS, h2.END_HEADERS, 1, b"\x00\x01a\x82\x1f\xff"),
        h2.COMPRESSION_ERROR,
    ),
    "Huffman end of string": (
        h2.frame(h2.HEADERS, h2.END_HEADERS, 1, b"\x00\x01a\x84\xff\xff\xff\xff"),
        h2.COMPRESSION_ERROR,
    ),
    "a string that is cut": (h2.frame(h2.HEADERS, h2.END_HEADERS, 1, b"\x00\x05ab"), h2.COMPRESSION_ERROR),
    "too large a frame": (h2.frame(0xEE, 0, 0, bytes(16_385)), h2.FRAME_SIZE_ERROR),
}


@pytest.mark.parametrize(("sent", "code"), BROKEN.values(), ids=BROKEN)
async def test_connection_error_sends_goaway_with_its_code(server: FanoutServer, sent: bytes, code: int) -> None:
    async with http2_peer(server.port) as peer:
        peer.send(sent)
        assert (await peer.next(h2.GOAWAY)).code == code
        await peer.closed()
    await followers(server, 0)


def opening(**more: str | None) -> bytes:
    return h2.frame(h2.HEADERS, h2.END_HEADERS, 3, h2.block(h2.headers(**more)))


def trailers(*found: tuple[str, str]) -> bytes:
    return h2.frame(h2.HEADERS, h2.END_HEADERS | h2.END_STREAM, 3, h2.block(list(found)))


BROKEN_STREAMS = {
    "no path": (opening(**{":path": None}), h2.PROTOCOL_ERROR),
    "empty path": (opening(**{":path": ""}), h2.PROTOCOL_ERROR),
    "te": (opening(te="gzip"), h2.PROTOCOL_ERROR),
    "connection": (opening(connection="close"), h2.PROTOCOL_ERROR),
    "upper case": (opening(Upper="1"), h2.PROTOCOL_ERROR),
    "unknown pseudo-header": (opening(**{":status": "200"}), h2.PROTOCOL_ERROR),
    "pseudo-header after others": (
        h2.frame(h2.HEADERS, h2.END_HEADERS, 3, h2.block([*h2.headers(), (":path", "/")])),
        h2.PROTOCOL_ERROR,
    ),
    "data after the end": (h2.request(3) + h2.frame(h2.DATA, 0, 3, b"x"), h2.STREAM_CLOSED),
    "headers after the end": (h2.request(3) + opening(), h2.STREAM_CLOSED),
    "trailers that do not end": (opening() + opening(), h2.PROTOCOL_ERROR),
    "a pseudo-header among trailers": (opening() + trailers((":path", "/")), h2.PROTOCOL_ERROR),
    "a connection header among trailers": (opening() + trailers(("connection", "close")), h2.PROTOCOL_ERROR),
    "large trailers": (opening() + trailers(*[("x", "a" * 1000)] * 16), h2.PROTOCOL_ERROR),
    "an illegal trailer": (opening() + trailers(("x", "a\nb")), h2.PROTOCOL_ERROR),
    "no method": (opening(**{":method": None}), h2.PROTOCOL_ERROR),
    "no scheme": (opening(**{":scheme": None}), h2.PROTOCOL_ERROR),
    "a path with a newline": (opening(**{":path": "/a\nERROR forged"}), h2.PROTOCOL_ERROR),
    "a path with an escape": (opening(**{":path": "/a\x1b[31m"}), h2.PROTOCOL_ERROR),
    "another host": (opening(host="elsewhere"), h2.PROTOCOL_ERROR),
    "a name with a space": (opening(**{"a b": "1"}), h2.PROTOCOL_ERROR),
    "a name with a colon": (opening(**{"a:b": "1"}), h2.PROTOCOL_ERROR),
    "a name with a newline": (opening(**{"a\nb": "1"}), h2.PROTOCOL_ERROR),
    "a name beyond ASCII": (opening(é="1"), h2.PROTOCOL_ERROR),
    "no name": (opening(**{"": "1"}), h2.PROTOCOL_ERROR),
    "a value with a newline": (opening(x="a\nb"), h2.PROTOCOL_ERROR),
    "a value with a carriage return": (opening(x="a\rb"), h2.PROTOCOL_ERROR),
    "a value with a zero byte": (opening(x="a\0b"), h2.PROTOCOL_ERROR),
    "a value that begins with a blank": (opening(x=" a"), h2.PROTOCOL_ERROR),
    "a value that ends with a tab": (opening(x="a\t"), h2.PROTOCOL_ERROR),
    "content-length is no number": (opening(content_length="-1"), h2.PROTOCOL_ERROR),
    "more than content-length": (opening(content_length="3") + h2.frame(h2.DATA, 0, 3, b"abcd"), h2.PROTOCOL_ERROR),
    "less than content-length": (opening(content_length="9") + h2.frame(h2.DATA, 1, 3, b"abcd"), h2.PROTOCOL_ERROR),
    "trailers before content-length": (opening(content_length="9") + trailers(("x", "y")), h2.PROTOCOL_ERROR),
    "content-length and no body": (
        h2.frame(h2.HEADERS, h2.END_HEADERS | h2.END_STREAM, 3, h2.block(h2.headers(content_length="9"))),
        h2.PROTOCOL_ERROR,
    ),
    "PRIORITY of 4 bytes": (h2.request(3) + h2.frame(h2.PRIORITY, 0, 3, bytes(4)), h2.FRAME_SIZE_ERROR),
    "WINDOW_UPDATE by 0": (h2.request(3) + h2.window_update(3, 0), h2.PROTOCOL_ERROR),
    "WINDOW_UPDATE overflows": (h2.request(3) + h2.window_update(3, 2**31 - 1), h2.FLOW_CONTROL_ERROR),
}


@pytest.mark.parametrize(("sent", "code"), BROKEN_STREAMS.values(), ids=BROKEN_STREAMS)
async def test_stream_error_resets_only_its_stream(server: FanoutServer, log: Log, sent: bytes, code: int) -> None:
    async with http2_peer(server.port) as peer:
        peer.send(h2.request(1), sent)
        reset = await peer.next(h2.RST_STREAM)
        assert (reset.stream, reset.code) == (3, code)
        await followers(server, 1)
        log.append()
        assert sequences(await peer.message(1)) == [1]
