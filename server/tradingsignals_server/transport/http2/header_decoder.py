"""Decodes header blocks (RFC 7541), with the dynamic table and the Huffman code of `hpack`.

The decoder of `hpack` itself takes three times as long, a fifth of what a call costs at the edge of the server.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from hpack.exceptions import HPACKDecodingError
from hpack.huffman_table import decode_huffman
from hpack.table import HeaderTable

from . import frames

Header = tuple[bytes, bytes]

OVERHEAD_BYTES: Final = 32
"""Added for each header to the size of a header list (RFC 9113, 6.5.2)."""
_REMEMBERED_BYTES: Final = 128
"""The longest string in Huffman code whose text is remembered: the edge sends the same paths again and again."""

_decode_remembered = lru_cache(256)(decode_huffman)


class HeaderDecoder:
    """Decodes the header blocks of one connection, in the order in which they were received."""

    def __init__(self, limit: int) -> None:
        """`limit` is the maximum size of a decoded block in bytes."""
        self._limit = limit
        self._table = HeaderTable()

    def decode(self, block: bytes) -> list[Header]:
        """Decode one block.

        Raises:
            HPACKDecodingError, IndexError: it is malformed, cut off or too large; no later block can be decoded.
        """
        table, headers, size, at = self._table, list[Header](), 0, 0
        while at < len(block):
            first = block[at]
            if first & 0x80:
                index, at = _integer(block, at, 0x7F)
                header = table.get_by_index(index)
            elif first & 0xE0 == 0x20:
                if headers:
                    raise HPACKDecodingError("the size of the table is changed after a header")
                table.maxsize, at = _integer(block, at, 0x1F)
                if table.maxsize > frames.DEFAULT_HEADER_TABLE_BYTES:
                    raise HPACKDecodingError("the table is larger than was agreed")
                continue
            else:
                is_indexed = first & 0x40
                index, at = _integer(block, at, 0x3F if is_indexed else 0x0F)
                name, at = (table.get_by_index(index)[0], at) if index else _string(block, at)
                value, at = _string(block, at)
                header = name, value
                if is_indexed:
                    table.add(name, value)
            headers.append(header)
            size += len(header[0]) + len(header[1]) + OVERHEAD_BYTES
            if size > self._limit:
                raise HPACKDecodingError("the headers are too large")
        return headers


def _integer(block: bytes, at: int, mask: int) -> tuple[int, int]:
    """Return the integer whose prefix is under `mask` at `at`, and where it ends (RFC 7541, 5.1)."""
    value, at = block[at] & mask, at + 1
    if value < mask:
        return value, at
    for shift in range(0, 35, 7):
        byte, at = block[at], at + 1
        value += (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise HPACKDecodingError("an integer is too long")


def _string(block: bytes, at: int) -> tuple[bytes, int]:
    """Return the string at `at`, and where it ends (RFC 7541, 5.2)."""
    is_huffman = block[at] & 0x80
    length, at = _integer(block, at, 0x7F)
    end = at + length
    if end > len(block):
        raise HPACKDecodingError("a string is cut off")
    text = block[at:end]
    if is_huffman:
        text = _decode_remembered(text) if length <= _REMEMBERED_BYTES else decode_huffman(text)
    return text, end
