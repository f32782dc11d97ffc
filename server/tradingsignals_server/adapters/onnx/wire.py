"""Parser of protobuf messages, field by field, without a schema and without copying.

It follows https://protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

from collections.abc import Iterator

Value = int | memoryview


class Truncated(Exception):
    """The bytes end in the middle of a field, or are not a message."""


def fields(view: memoryview) -> Iterator[tuple[int, Value]]:
    """Yield number and value of each field that is a varint or length-delimited; other fields are skipped.

    Raises:
        Truncated: during iteration, if the bytes are not a message.
    """
    for number, value, _, _ in encoded_fields(view):
        if value is not None:
            yield number, value


def encoded_fields(view: memoryview) -> Iterator[tuple[int, Value | None, int, int]]:
    """Yield number, value, and first and last offset of each field; the value is None for one of fixed width.

    Raises:
        Truncated: during iteration, if the bytes are not a message.
    """
    at, end = 0, len(view)
    while at < end:
        start = at
        tag, at = varint(view, at)
        number, wire_type = tag >> 3, tag & 7
        if wire_type == 0:
            value, at = varint(view, at)
            yield number, value, start, at
            continue
        if wire_type == 2:
            length, at = varint(view, at)
        else:
            length = {1: 8, 5: 4}.get(wire_type, end)
        if number == 0 or length > end - at:
            raise Truncated
        yield number, view[at : at + length] if wire_type == 2 else None, start, at + length
        at += length


def varint(view: memoryview, at: int) -> tuple[int, int]:
    """Return the varint at offset `at`, which has seven bits a byte, and the offset after it.

    Raises:
        Truncated: it does not end within ten bytes.
    """
    result = 0
    for index, byte in enumerate(view[at : at + 10]):
        result |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return result, at + index + 1
    raise Truncated


def integers(value: Value) -> Iterator[int]:
    """Yield the signed 64-bit integers in one occurrence of a repeated field: a single integer, or a packed list."""
    if isinstance(value, int):
        yield _signed(value)
        return
    at = 0
    while at < len(value):
        number, at = varint(value, at)
        yield _signed(number)


def text_of(message: memoryview, field_number: int) -> str:
    """Return the last text in a field, "" if there is none.

    Raises:
        Truncated: the bytes are not a message.
        UnicodeDecodeError: the text is not UTF-8.
    """
    texts = [value for number, value in fields(message) if number == field_number and isinstance(value, memoryview)]
    return str(texts[-1], "utf-8") if texts else ""


def messages_of(message: memoryview, field_number: int) -> list[memoryview]:
    """Return the messages in a repeated field.

    Raises:
        Truncated: the bytes are not a message.
    """
    return [value for number, value in fields(message) if number == field_number and isinstance(value, memoryview)]


def length_delimited(number: int, content: bytes) -> bytes:
    """Encode a length-delimited field, such as a string or a message."""
    return _varint_bytes(number << 3 | 2) + _varint_bytes(len(content)) + content


def whole(number: int, value: int) -> bytes:
    """Encode a field that is a whole number of at least 0."""
    return _varint_bytes(number << 3) + _varint_bytes(value)


def _signed(number: int) -> int:
    return number - (1 << 64) if number >= 1 << 63 else number


def _varint_bytes(number: int) -> bytes:
    written = bytearray()
    while number >= 0x80:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    written.append(number)
    return bytes(written)
