"""Requests as bytes of protobuf, generated from their descriptors: valid, at bounds, absent, malformed."""

from __future__ import annotations

import struct
from typing import Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from hypothesis import strategies as st

from tradingsignals_server.transport.grpc.body import REQUEST_BYTES

VARINT, FIXED64, BYTES, START_GROUP, END_GROUP, FIXED32 = range(6)
MAX_DEPTH: Final = 3
"""How deep valid messages are nested; the contract has no recursive message."""

INJECTIONS: Final = (
    "'; DROP TABLE events; --",
    "' OR '1'='1",
    'USDCOP"}\n{"level": "ERROR", "message": "forged"}',
    "USDCOP\r\nERROR forged",
    "${jndi:ldap://localhost/a}",
    "%s%n{0}{__class__}",
    "\x1b[31mred\x1b[0m",
    "\u2028\u202eforged",
)
"""Texts that are more than data where a statement, a line of the log or a format is put together from them."""
_TEXTS: Final = (
    *("", "USDCOP", "usd/cop", "2025-06-30", "2025-06-30T13:00:00Z", "1", "AAAA", "m5-v1"),
    *("00000000-0000-0000-0000-000000000000", "\x00", "\x7f\n\t", "\u0130", "\U0001f600", "x" * 300, "\u00e9" * 5000),
    *INJECTIONS,
)
_INTEGERS: Final = (0, 1, -1, 2, 50, 99, 1000, 1001, 2**31 - 1, 2**31, -(2**31), 2**32, 2**53, 2**63 - 1, -(2**63))
_NUMBERS: Final = (
    *(0.0, -0.0, 0.65, 1.0, -1.0, 4050.5, 1e-9, 1e12, 5e-324, 1.7976931348623157e308),
    *(float("nan"), float("inf"), float("-inf")),
)
_INVALID_UTF8: Final = b"\xff\xfe"
_BYTES_FIELDS: Final = frozenset({FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES})


def varint(number: int) -> bytes:
    """Encode an integer; a negative one takes ten bytes."""
    number &= 2**64 - 1
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*found, number))


def tag(number: int, wire_type: int) -> bytes:
    """Encode the key of a field."""
    return varint(number << 3 | wire_type)


def _prefixed(value: bytes) -> bytes:
    return varint(len(value)) + value


def _text(field: FieldDescriptor) -> st.SearchStrategy[bytes]:
    texts = st.one_of(st.sampled_from(_TEXTS), st.text(max_size=30)).map(lambda text: text.encode())
    return st.one_of(texts, st.just(_INVALID_UTF8)) if field.type == FieldDescriptor.TYPE_STRING else texts


def _value(field: FieldDescriptor, depth: int) -> st.SearchStrategy[bytes]:
    """Return values of a field, each with its key."""
    kind = field.type
    if kind == FieldDescriptor.TYPE_MESSAGE:
        assert field.message_type is not None
        nested = messages(field.message_type, depth + 1) if depth < MAX_DEPTH else st.just(b"")
        return nested.map(lambda value: tag(field.number, BYTES) + _prefixed(value))
    if kind in _BYTES_FIELDS:
        return _text(field).map(lambda value: tag(field.number, BYTES) + _prefixed(value))
    if kind == FieldDescriptor.TYPE_DOUBLE:
        numbers = st.one_of(st.sampled_from(_NUMBERS), st.floats())
        return numbers.map(lambda value: tag(field.number, FIXED64) + struct.pack("<d", value))
    assert kind not in {FieldDescriptor.TYPE_FLOAT, FieldDescriptor.TYPE_FIXED64, FieldDescriptor.TYPE_FIXED32}, (
        f"the contract has a kind of field that is not generated: {field.full_name}"
    )
    return st.sampled_from(_INTEGERS).map(lambda value: tag(field.number, VARINT) + varint(value))


def _field(field: FieldDescriptor, depth: int) -> st.SearchStrategy[bytes]:
    """Return a field: absent, once, several times, or, if it is repeated, more often than is accepted."""
    value = _value(field, depth)
    several = st.lists(value, max_size=3).map(b"".join)
    many = value.flatmap(lambda once: st.sampled_from([1, 11, 1001]).map(lambda count: once * count))
    return st.one_of(st.just(b""), value, several, many) if field.is_repeated else st.one_of(st.just(b""), value)


def messages(descriptor: Descriptor, depth: int = 0) -> st.SearchStrategy[bytes]:
    """Return messages of a type that can be parsed, unless a text is not UTF-8."""
    return st.tuples(*(_field(field, depth) for field in descriptor.fields)).map(b"".join)


def _damage(descriptor: Descriptor) -> st.SearchStrategy[bytes]:
    """Return what no client writes, to be appended to a message."""
    numbers = [field.number for field in descriptor.fields] or [1]
    wrong_types = st.builds(
        lambda number, wire_type, value: tag(number, wire_type) + value,
        st.sampled_from(numbers),
        st.integers(0, 7),
        st.binary(max_size=12),
    )
    return st.one_of(
        wrong_types,
        st.binary(max_size=40),
        st.sampled_from(
            [
                tag(2**28, BYTES) + _prefixed(b"a field that nobody knows"),
                tag(1, VARINT) + b"\xff" * 10 + b"\x01",  # more bytes than an integer has
                tag(1, BYTES) + varint(2**31 - 1),  # a length that does not come
                tag(1, BYTES) + varint(-1),
                tag(0, VARINT) + b"\0",  # no field has this number
                tag(1, START_GROUP) * 10_000,
                tag(9, START_GROUP) * 90 + tag(9, END_GROUP) * 90,
                _nested(5_000),
            ]
        ),
    )


def _nested(depth: int) -> bytes:
    value = b""
    for _ in range(depth):
        value = tag(1, BYTES) + _prefixed(value)
        if len(value) > REQUEST_BYTES:
            break
    return value


def requests(descriptor: Descriptor) -> st.SearchStrategy[bytes]:
    """Return requests of a type as they may come: whole, cut off, or with what does not belong there."""
    whole = messages(descriptor)
    cut = st.builds(lambda value, at: value[: int(len(value) * at)], whole, st.floats(0, 1))
    damaged = st.builds(lambda value, more: value + more, whole, _damage(descriptor))
    return st.one_of(whole, whole, cut, damaged).map(lambda value: value[:REQUEST_BYTES])
