"""Reading protobuf messages field by field, from their bytes, without a schema and without copying.

By the rules of https://protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

from collections.abc import Iterator

Value = int | memoryview


class CutShort(Exception):
    """The bytes end in the middle of a field, or are no fields at all."""


def fields(view: memoryview) -> Iterator[tuple[int, Value]]:
    """Number and value of each field of a message that is an integer or has a length; other fields are passed over.

    Raises:
        CutShort: while iterating, where the bytes are not a message.
    """
    at, end = 0, len(view)
    while at < end:
        tag, at = varint(view, at)
        number, wire_type = tag >> 3, tag & 7
        if wire_type == 0:
            value, at = varint(view, at)
            yield number, value
            continue
        if wire_type == 2:
            length, at = varint(view, at)
        else:
            length = {1: 8, 5: 4}.get(wire_type, end)
        if number == 0 or length > end - at:
            raise CutShort
        if wire_type == 2:
            yield number, view[at : at + length]
        at += length


def varint(view: memoryview, at: int) -> tuple[int, int]:
    """The integer at `at`, seven bits a byte, and where the next thing begins.

    Raises:
        CutShort: it does not end within ten bytes.
    """
    result = 0
    for place, byte in enumerate(view[at : at + 10]):
        result |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return result, at + place + 1
    raise CutShort


def integers(value: Value) -> Iterator[int]:
    """The signed 64-bit integers in one field of a repeated one: a single integer, or many of them packed."""
    if isinstance(value, int):
        yield _signed(value)
        return
    at = 0
    while at < len(value):
        number, at = varint(value, at)
        yield _signed(number)


def length_delimited(number: int, content: bytes) -> bytes:
    """A field that has a length, such as a text or a message, as bytes."""
    return _varint_bytes(number << 3 | 2) + _varint_bytes(len(content)) + content


def _signed(number: int) -> int:
    return number - (1 << 64) if number >= 1 << 63 else number


def _varint_bytes(number: int) -> bytes:
    written = bytearray()
    while number >= 0x80:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    written.append(number)
    return bytes(written)
