"""Joins responses from messages that are serialised already.

In protobuf's wire format the records of a repeated field follow one another, so a response with many signals is the
join of bytes that were made once, when each signal was committed. Only length-delimited fields and varints are needed.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache

from ...application.ports.event_log import LogEntry
from ...domain.events import EventKind
from ..mapping.to_proto import timestamp

# Field numbers of tradingsignals.v1.Event and of the stream responses; tests compare them with the descriptors.
EVENT_FIELDS = {
    EventKind.SIGNAL: 3,
    EventKind.MARKET_UPDATE: 4,
    EventKind.POSITION_UPDATE: 5,
    EventKind.OUTCOME: 8,
    EventKind.TRADING_CONTROL: 9,
}
LIST_FIELD = 1
THROUGH_FIELD = 2

_EVENT_SEQUENCE = 1
_EVENT_TIME = 2


def records(messages: Iterable[bytes], field: int = LIST_FIELD) -> bytes:
    """`messages` as the records of the repeated message field `field`."""
    return b"".join([record(message, field) for message in messages])


def record(message: bytes, field: int = LIST_FIELD) -> bytes:
    """`message` as one record of the message field `field`."""
    return _prefix(field, len(message)) + message


def number(value: int, field: int) -> bytes:
    """`value`, which is not negative, as the integer field `field`; 0 is the default and takes no bytes."""
    return varint(field << 3) + varint(value) if value else b""


def varint(value: int) -> bytes:
    """`value`, which is not negative, seven bits a byte, the lowest first."""
    if value < 0x80:
        return bytes((value,))
    if value < 0x4000:
        return bytes((value & 0x7F | 0x80, value >> 7))
    return bytes((value & 0x7F | 0x80, value >> 7 & 0x7F | 0x80)) + varint(value >> 14)


def event(entry: LogEntry) -> bytes:
    """A tradingsignals.v1.Event of an entry of the log."""
    sequence = number(entry.sequence, _EVENT_SEQUENCE)
    return sequence + _event_time(entry.time) + record(entry.payload, EVENT_FIELDS[entry.kind])


@lru_cache(0x4000)
def _prefix(field: int, size: int) -> bytes:
    """What comes before a message of `size` bytes in the field `field`."""
    return varint(field << 3 | 2) + varint(size)


@lru_cache(256)  # the entries of one commit have the same time
def _event_time(time: datetime) -> bytes:
    return record(timestamp(time).SerializeToString(), _EVENT_TIME)
