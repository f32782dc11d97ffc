"""The JSON of a message as REST callers get it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message


def rest_json(message: Message) -> Any:
    """Convert a message as protobuf does with the options of the edge, and with microseconds in times.

    protobuf itself writes as many digits as the value needs. No time may be finer than microseconds.
    """
    value = MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
    return _with_wide_times(value, message.DESCRIPTOR)


def rest_time(time: datetime) -> str:
    """Format a time in UTC as REST callers get it."""
    return time.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _with_wide_times(value: Any, descriptor: Any) -> Any:
    if isinstance(value, list):
        return [_with_wide_times(one, descriptor) for one in value]
    if descriptor.full_name == "google.protobuf.Timestamp":
        whole, _, digits = value.removesuffix("Z").partition(".")
        return f"{whole}.{digits:0<6}Z"
    types = {field.name: field.message_type for field in descriptor.fields}
    return {name: _with_wide_times(one, types[name]) if types[name] else one for name, one in value.items()}
