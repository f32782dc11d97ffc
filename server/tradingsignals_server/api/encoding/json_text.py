"""Messages as proto3 JSON, as the transcoder of the edge would write them, except that times have one width.

`google.protobuf.json_format` asks every message anew what its fields are. Here that is asked once for each type of
message, and what is left is to fetch values and to write them. The form is that of the edge's transcoder: names as in
the proto, zeros and empty lists written, what may be absent and is left out, enums by name, 64-bit integers as strings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import cache, lru_cache, partial
from json.encoder import encode_basestring
from operator import attrgetter
from typing import Any, Final

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message

Writer = Callable[[Any], str]
"""Writes the value of a field."""

_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - printed without its zone, to which Z is put
_NOT_FINITE: Final = {"nan": '"NaN"', "inf": '"Infinity"', "-inf": '"-Infinity"'}
_LINE_ENDS: Final = {0x85: "\\u0085", 0x2028: "\\u2028", 0x2029: "\\u2029"}
"""JSON need not escape them, but some readers take them for the end of a line."""


def json_text(message: Message) -> str:
    """A message as JSON, in one line.

    Raises:
        TypeError: it has a field of a type that no response has.
    """
    return _writer_of(message.DESCRIPTOR)(message)


@lru_cache(1024)  # times come together: bars of all symbols, entries of one commit
def timestamp(seconds: int, nanos: int) -> str:
    """A time in RFC 3339, UTC, always with six digits of the second: what we store has microseconds.

    protobuf's own JSON has as many digits as the value needs, so that two times of one field differ in form; readers
    with a fixed format fail at some of them.
    """
    return f"{(_EPOCH + timedelta(seconds=seconds)).isoformat()}.{nanos // 1000:06}Z"


class _Fields:
    """Writes messages of one type, whose fields are known."""

    def __init__(self, descriptor: Descriptor) -> None:
        fields = sorted(descriptor.fields, key=lambda field: field.number)
        self._values = _values_of([field.name for field in fields])
        self._fields = [
            (
                field.name,
                f'"{field.name}":',
                _writer_of_field(field),
                field.has_presence,
                field.default_value if field.message_type is None else None,
            )
            for field in fields
        ]

    def text(self, message: Message) -> str:
        """The message as JSON."""
        written = []
        for (name, label, write, may_be_absent, default), value in zip(
            self._fields, self._values(message), strict=True
        ):
            # A value other than the default is there; it costs less to look at it than to ask.
            if may_be_absent and (default is None or value == default) and not message.HasField(name):
                continue
            written.append(label + write(value))
        return "{" + ",".join(written) + "}"


def _values_of(names: list[str]) -> Callable[[Message], tuple[Any, ...]]:
    """What fetches the values of several fields at once."""
    if len(names) > 1:
        return attrgetter(*names)
    return lambda message: tuple(getattr(message, name) for name in names)


@cache
def _writer_of(descriptor: Descriptor) -> Writer:
    if descriptor.full_name == "google.protobuf.Timestamp":
        return _timestamp
    return _Fields(descriptor).text


def _writer_of_field(field: FieldDescriptor) -> Writer:
    write = _writer_of_value(field)
    return partial(_list, write) if field.is_repeated else write


def _writer_of_value(field: FieldDescriptor) -> Writer:
    if field.message_type is not None and not field.message_type.GetOptions().map_entry:
        return _writer_of(field.message_type)
    if field.enum_type is not None:
        return _names_of(field.enum_type)
    try:
        return _SCALARS[field.type]
    except KeyError:
        raise TypeError(f"{field.full_name} cannot be written") from None


def _list(write: Writer, values: Any) -> str:
    return "[" + ",".join([write(value) for value in values]) + "]"


def _names_of(enum: EnumDescriptor) -> Writer:
    """Writes the values of an enum; one that this contract does not know is its number."""
    names = {value.number: f'"{value.name}"' for value in reversed(enum.values)}
    return lambda value: names.get(value) or str(value)


def _timestamp(value: Any) -> str:
    return f'"{timestamp(value.seconds, value.nanos)}"'


def _string(value: str) -> str:
    text = encode_basestring(value)
    return text if value.isascii() else text.translate(_LINE_ENDS)


def _double(value: float) -> str:
    text = repr(value)
    if text.endswith(".0"):
        return text[:-2]
    return text if value - value == 0.0 else _NOT_FINITE[text]


def _long(value: int) -> str:
    return f'"{value}"'


def _bool(value: bool) -> str:
    return "true" if value else "false"


_SCALARS: Final[Mapping[int, Writer]] = {
    FieldDescriptor.TYPE_BOOL: _bool,
    FieldDescriptor.TYPE_DOUBLE: _double,
    FieldDescriptor.TYPE_INT32: str,
    FieldDescriptor.TYPE_INT64: _long,
    FieldDescriptor.TYPE_STRING: _string,
    FieldDescriptor.TYPE_UINT32: str,
    FieldDescriptor.TYPE_UINT64: _long,
}
