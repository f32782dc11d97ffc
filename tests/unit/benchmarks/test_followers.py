"""The followers of the benchmarks count all events, for any segmentation of the bytes."""

from __future__ import annotations

import asyncio
import json
from itertools import pairwise
from typing import Any

import pytest
from benchmarks.load import frames
from benchmarks.load.readers import Http2Followers, counting, http1_follower
from benchmarks.load.tally import Tally, through_sequence
from hypothesis import given
from hypothesis import strategies as st

from tradingsignals.v1.signal_service_pb2 import StreamSignalsResponse

PATH = "/tradingsignals.v1.SignalService/StreamSignals"
EVENTS = "/tradingsignals.v1.EventService/StreamEvents"


class Connection(asyncio.Transport):
    """A transport that discards what is written."""

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """See asyncio."""


def response(signals: int, through: int) -> bytes:
    message = StreamSignalsResponse(through_sequence=through)
    for _ in range(signals):
        message.signals.add(symbol="USDCOP", reasoning=["Model confidence: 85.0%"])
    return message.SerializeToString()


def framed(message: bytes) -> bytes:
    return b"\0" + len(message).to_bytes(4, "big") + message


def chunks(content: bytes, chunk_bytes: int) -> bytes:
    parts = (content[start : start + chunk_bytes] for start in range(0, len(content), chunk_bytes))
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)


def pieces(whole: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(whole), *(cut % len(whole) for cut in cuts)})
    return [whole[start:stop] for start, stop in pairwise(places)]


def tally_of(followers: int) -> Tally:
    tally = Tally(followers, lambda: None)
    tally.expect(5, each=True)
    return tally


@given(cuts=st.lists(st.integers(0, 10_000), max_size=20), frame_bytes=st.integers(1, 400))
def test_streams_of_one_connection_are_counted(cuts: list[int], frame_bytes: int) -> None:
    tally = tally_of(2)
    protocol = Http2Followers(tally, (0, 1), b"", b"", counting(PATH, tally, 0), stalls=False)
    protocol.connection_made(Connection())
    sent = b"".join(frames.frame(frames.HEADERS, frames.END_HEADERS, stream) for stream in (1, 3))
    for message in (response(3, 7), response(2, 300)):
        whole = framed(message)
        for start in range(0, len(whole), frame_bytes):
            sent += b"".join(
                frames.frame(frames.DATA, 0, stream, whole[start : start + frame_bytes]) for stream in (1, 3)
            )
    for piece in pieces(sent, cuts):
        protocol.get_buffer(-1)[: len(piece)] = piece
        protocol.buffer_updated(len(piece))
    assert tally.subscribed == 2
    assert tally.received == [5, 5]
    assert tally.finished
    assert [len(times) for times in tally.arrivals] == [2] * 5


@pytest.mark.parametrize("kind", ["grpc-web", "sse", "websocket"])
@given(cuts=st.lists(st.integers(0, 10_000), max_size=20), chunk_bytes=st.integers(1, 400))
def test_streams_of_separate_connections_are_counted(kind: str, cuts: list[int], chunk_bytes: int) -> None:
    tally = tally_of(1)
    protocol = http1_follower(kind, PATH, b"", 1, tally, stalls=False)(0)
    protocol.connection_made(Connection())
    sent = b"HTTP/1.1 %d OK\r\n\r\n" % (101 if kind == "websocket" else 200)
    for signals, through in ((3, 7), (2, 300)):
        in_json = json.dumps({"signals": [{}] * signals, "through_sequence": str(through)}).encode()
        if kind == "grpc-web":
            sent += chunks(framed(response(signals, through)), chunk_bytes)
        elif kind == "sse":
            sent += chunks(b"data: %s\n\n" % in_json, chunk_bytes)
        else:
            sent += (b"\x81%c" % len(in_json) + in_json) * signals
    for piece in pieces(sent, cuts):
        protocol.data_received(piece)
    assert tally.subscribed == 1
    assert tally.received == [5]
    assert tally.finished


@given(through=st.integers(1, 2**63 - 1))
def test_through_sequence_is_read_from_a_response(through: int) -> None:
    assert through_sequence(response(1, through)) == through


def test_events_are_counted_by_through_sequence() -> None:
    tally = tally_of(2)
    count = counting(EVENTS, tally, 100)
    assert [count(0, response(1, 130)), count(0, response(1, 131)), count(1, response(1, 105))] == [30, 1, 5]


def test_duplicates_are_detected() -> None:
    tally = tally_of(1)
    tally.take(0, 5, 10, 1.0)
    assert tally.finished
    tally.take(0, 1, 10, 2.0)
    assert tally.received == [6]


def test_delivery_is_complete_when_every_stream_has_the_event() -> None:
    tally = tally_of(2)
    tally.take(0, 5, 10, 1.0)
    tally.take(0, 1, 10, 2.0)
    assert not tally.finished
    tally.take(1, 5, 10, 3.0)
    assert tally.finished
    assert tally.last == 3.0


def test_refusal_ends_the_follower() -> None:
    tally = tally_of(1)
    protocol = http1_follower("sse", PATH, b"", 1, tally, stalls=False)(0)
    protocol.connection_made(Connection())
    protocol.data_received(b"HTTP/1.1 503 Service Unavailable\r\n\r\n")
    assert len(tally.ended) == 1
