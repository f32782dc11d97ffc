"""Header blocks are decoded as `hpack` decodes them."""

from __future__ import annotations

from typing import Any

import pytest
from hpack import Decoder, Encoder
from hpack.exceptions import HPACKError
from hypothesis import given
from hypothesis import strategies as st

from tradingsignals_server.transport.http2.header_decoder import HeaderDecoder

LIMIT = 1_000
NAMES = st.sampled_from([b":path", b":method", b"x-request-id", b"te", b"x"]) | st.binary(min_size=1, max_size=200)
VALUES = st.sampled_from([b"POST", b"trailers", b"/x"]) | st.binary(max_size=200)
HEADER_LISTS = st.lists(st.tuples(NAMES, VALUES, st.booleans()), max_size=6)


def decoded(decoder: Any, block: bytes, **options: bool) -> list[tuple[bytes, bytes]] | None:
    """The headers of a block, None if it is refused."""
    try:
        return [(bytes(name), bytes(value)) for name, value in decoder.decode(block, **options)]
    except (HPACKError, IndexError):
        return None


@given(st.lists(st.tuples(HEADER_LISTS, st.booleans(), st.sampled_from([0, 100, 4_096, 4_096])), max_size=8))
def test_blocks_of_a_connection_are_decoded_with_its_table(blocks: list[Any]) -> None:
    encoder, ours, theirs = Encoder(), HeaderDecoder(LIMIT), Decoder(max_header_list_size=LIMIT)
    for headers, huffman, table_size in blocks:
        encoder.header_table_size = table_size
        block = encoder.encode(headers, huffman=huffman)
        found = decoded(ours, block)
        assert found == decoded(theirs, block, raw=True)
        if found is None:
            return


@given(st.lists(st.binary(max_size=60), max_size=4))
def test_malformed_blocks_are_refused(blocks: list[bytes]) -> None:
    ours, theirs = HeaderDecoder(LIMIT), Decoder(max_header_list_size=LIMIT)
    for block in blocks:
        found = decoded(ours, block)
        assert found == decoded(theirs, block, raw=True)
        if found is None:
            return


@pytest.mark.parametrize(
    "block",
    [
        b"\x80",  # index 0
        b"\xff\x80\x80\x80\x80\x80\x01",  # an integer of six more bytes
        b"\x3f\xe2\x1f",  # a table of 4,097 bytes
        b"\x82\x20",  # a size of the table after a header
        b"\x00\x05x",  # a string that is cut off
        b"\x00\x01x\x81\x00",  # padding that is not of ones
        b"\x00\x01x\x82\xff\xff",  # padding of more than seven bits
        b"\x00\x01x\x7f\xe9\x07" + b"x" * 1_000,  # a header of 1,000 bytes
    ],
    ids=str,
)
def test_block_is_refused(block: bytes) -> None:
    with pytest.raises((HPACKError, IndexError)):
        HeaderDecoder(LIMIT).decode(block)
