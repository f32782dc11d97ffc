"""Headers of gRPC: those of a request read, those of a response encoded."""

from __future__ import annotations

import base64
import math

import grpc
import pytest
from hpack import Decoder
from hypothesis import given
from hypothesis import strategies as st

from tradingsignals_server.transport.grpc import headers
from tradingsignals_server.transport.grpc.bounds import percent_encoded


def test_trailers_only_response_has_its_message_and_details() -> None:
    details = [("grpc-status-details-bin", b"\0\1")]
    block = headers.trailers_only(grpc.StatusCode.NOT_FOUND, "100% naïve\n", details, 404)
    found: dict[bytes, bytes] = dict(Decoder().decode(block, raw=True))
    assert found[b":status"] == b"404"
    assert found[b"grpc-status"] == b"5"
    assert found[b"grpc-message"] == b"100%25 na%C3%AFve%0A"
    assert base64.b64decode(found[b"grpc-status-details-bin"] + b"==") == b"\0\1"
    assert not found[b"grpc-status-details-bin"].endswith(b"=")


def test_response_headers_leave_the_dynamic_table_empty() -> None:
    decoder = Decoder()
    found: dict[bytes, bytes] = dict(decoder.decode(headers.response_headers([("x-epoch", "1")]), raw=True))
    assert (found[b":status"], found[b"x-epoch"]) == (b"200", b"1")
    assert decoder.header_table.dynamic_entries == type(decoder.header_table.dynamic_entries)()


@given(st.text())
def test_encoded_message_is_printable_ascii(message: str) -> None:
    encoded = percent_encoded(message.encode(errors="ignore").decode())
    assert all(0x20 <= byte <= 0x7E for byte in encoded)


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        (b"1H", 3600.0),
        (b"2M", 120.0),
        (b"3S", 3.0),
        (b"400m", 0.4),
        (b"5u", 5e-6),
        (b"6n", 6e-9),
        (b"100000000S", math.nan),
        (b"1 S", math.nan),
    ],
)
def test_grpc_timeout_is_parsed_or_not_a_number(given: bytes, seconds: float) -> None:
    assert headers.timeout_seconds(given) == pytest.approx(seconds, nan_ok=True)
