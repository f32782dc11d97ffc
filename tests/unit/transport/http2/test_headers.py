"""Header blocks, and the headers that HTTP/2 allows in a request."""

from __future__ import annotations

import pytest
from hpack import Decoder
from hypothesis import given
from hypothesis import strategies as st

from tradingsignals_server.transport.http2.header_blocks import encode_headers
from tradingsignals_server.transport.http2.request_headers import MalformedHeaders, parse_request

CALL = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/x"), (b"content-type", b"application/grpc")]


@given(st.lists(st.tuples(st.binary(min_size=1, max_size=300), st.binary(max_size=20_000)), max_size=4))
def test_encoded_block_decodes_to_its_headers(written: list[tuple[bytes, bytes]]) -> None:
    decoder = Decoder(max_header_list_size=1 << 20)
    assert [tuple(found) for found in decoder.decode(encode_headers(written), raw=True)] == written


def test_encoded_block_leaves_the_dynamic_table_empty() -> None:
    """The same bytes are valid on every connection, after any other blocks."""
    decoder = Decoder()
    decoder.decode(encode_headers([(b":status", b"200"), (b"x-epoch", b"1")]))
    assert decoder.header_table.dynamic_entries == type(decoder.header_table.dynamic_entries)()


def test_request_has_the_first_value_of_each_name_and_its_size() -> None:
    request = parse_request([*CALL, (b"x", b"1"), (b"x", b"2")])
    assert (request.method, request.path, request.headers[b"x"]) == (b"POST", "/x", b"1")
    assert request.size == sum(len(name) + len(value) + 32 for name, value in [*CALL, (b"x", b"1"), (b"x", b"2")])


@pytest.mark.parametrize("missing", [b":method", b":scheme", b":path"])
def test_request_without_a_required_pseudo_header_is_malformed(missing: bytes) -> None:
    with pytest.raises(MalformedHeaders):
        parse_request([header for header in CALL if header[0] != missing])
