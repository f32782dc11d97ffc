"""Headers as gRPC writes them."""

from __future__ import annotations

import base64
import math

import grpc
import pytest
from hpack import Decoder
from hypothesis import given
from hypothesis import strategies as st

from tradingsignals_server.transport.grpc.bounds import percent_encoded
from tradingsignals_server.transport.http2 import headers
from tradingsignals_server.transport.http2.headers import Malformed, parse_request

CALL = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/x"), (b"content-type", b"application/grpc")]


@given(st.lists(st.tuples(st.binary(min_size=1, max_size=300), st.binary(max_size=20_000)), max_size=4))
def test_blocks_are_read_as_they_were_written(written: list[tuple[bytes, bytes]]) -> None:
    decoder = Decoder(max_header_list_size=1 << 20)
    assert [tuple(found) for found in decoder.decode(headers.block(written), raw=True)] == written


def test_a_block_leaves_nothing_behind_in_the_decoder() -> None:
    """So the same bytes are right on every connection, whatever came before."""
    decoder = Decoder()
    decoder.decode(headers.answer([("x-epoch", "1")]))
    assert decoder.header_table.dynamic_entries == type(decoder.header_table.dynamic_entries)()


def test_the_end_of_an_answer() -> None:
    details = [("grpc-status-details-bin", b"\0\1")]
    block = headers.trailers_only(grpc.StatusCode.NOT_FOUND, "100% naïve\n", details, 404)
    found: dict[bytes, bytes] = dict(Decoder().decode(block, raw=True))
    assert found[b":status"] == b"404"
    assert found[b"grpc-status"] == b"5"
    assert found[b"grpc-message"] == b"100%25 na%C3%AFve%0A"
    assert base64.b64decode(found[b"grpc-status-details-bin"] + b"==") == b"\0\1"
    assert not found[b"grpc-status-details-bin"].endswith(b"=")


@given(st.text())
def test_any_message_fits_into_a_header(message: str) -> None:
    encoded = percent_encoded(message.encode(errors="ignore").decode())
    assert all(0x20 <= byte <= 0x7E for byte in encoded)


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ("1H", 3600.0),
        ("2M", 120.0),
        ("3S", 3.0),
        ("400m", 0.4),
        ("5u", 5e-6),
        ("6n", 6e-9),
        ("100000000S", math.nan),
        ("1 S", math.nan),
    ],
)
def test_deadlines(given: str, seconds: float) -> None:
    found = parse_request([*CALL, (b"grpc-timeout", given.encode())]).timeout_seconds
    assert found == pytest.approx(seconds, nan_ok=True)


@pytest.mark.parametrize("missing", [b":method", b":scheme", b":path"])
def test_a_request_without_what_it_needs(missing: bytes) -> None:
    with pytest.raises(Malformed):
        parse_request([header for header in CALL if header[0] != missing])
