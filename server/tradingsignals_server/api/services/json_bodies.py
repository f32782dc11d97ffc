"""JSON bodies of REST calls, read strictly: a field that the contract does not know is refused by its name.

The edge's transcoder would drop such a field in silence, and a misspelt price or indicator would make a signal that
trades. So it passes bodies on as they came, to tradingsignals.edge.v1.JsonBodyService.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from math import isfinite
from types import SimpleNamespace
from typing import Any, Final, NoReturn, TypeVar

from google.api import annotations_pb2
from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from ...domain.errors import InvalidRequest
from ..contract import JSON_BODY_SERVICE, JSON_SERVICE
from ..mapping.validation import Checks
from ..methods import Behaviour, Response, method_name

BODY: Final = "body"
"""Field of a request that has the body."""

_JSON_TYPE = re.compile(r"application/json(?:\s*;.*)?", re.IGNORECASE)
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|NaN|-?Infinity")
_NAME_LENGTH: Final = 60
_WELL_KNOWN: Final = "google.protobuf."

Request = TypeVar("Request", bound=Message)
Object = dict[str, Any]


def json_body_servicer(written: object) -> object:
    """A servicer with the methods of JsonBodyService: each reads the body and calls the method of its name.

    `written` is the servicer of JsonService, which writes the responses.
    """
    public = {method.name: method for method in JSON_SERVICE.methods}
    found = [public[method.name] for method in JSON_BODY_SERVICE.methods]
    return SimpleNamespace(
        **{method_name(method): _with_body(getattr(written, method_name(method)), method) for method in found}
    )


def _with_body(behaviour: Behaviour, method: MethodDescriptor) -> Behaviour:
    type_ = GetMessageClass(method.input_type)
    rule: Any = method.GetOptions().Extensions[annotations_pb2.http]
    field = "" if rule.body == "*" else rule.body

    async def read(sent: Any) -> Response:
        return await behaviour(read_request(sent, type_, field))

    return read


def read_request(sent: Any, type_: type[Request], field: str = "") -> Request:
    """Read the public request that `sent` stands for: fields of the path and the query, and those of the body.

    Args:
        sent: a request of JsonBodyService.
        type_: the type of the public request.
        field: the field of the public request that the body is; empty: the body is the request.

    Raises:
        InvalidRequest: the body is no JSON object, has an unknown field, one of a wrong type, or one that stands in
            the path or the query too.
    """
    elsewhere = {known.name for known, _ in sent.ListFields() if known.name != BODY}
    content_type, text = sent.body.content_type, sent.body.data
    sent.ClearField(BODY)
    request = type_.FromString(sent.SerializeToString())
    prefix = f"{field}." if field else ""
    target: Any = getattr(request, field) if field else request
    if text.strip():
        if not _JSON_TYPE.fullmatch(content_type):
            raise InvalidRequest.field(BODY, "must be JSON and say so: content-type: application/json")
        found = _parse(text)
        with Checks() as checks:
            known = _known_fields(found, target.DESCRIPTOR, checks, prefix)
            for name in elsewhere & known.keys():
                checks.refuse(name, "stands in the path or the query, and cannot be in the body too")
        _fill(target, known, prefix)
        if field:
            target.SetInParent()
    return request


def _parse(text: bytes) -> Object:
    try:
        found = _decoder.decode(text.decode())
    except UnicodeDecodeError:
        raise InvalidRequest.field(BODY, "is not UTF-8") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise InvalidRequest.field(BODY, f"is not JSON: {error.msg} at {where}") from None
    except (ValueError, RecursionError):  # an integer of thousands of digits, or as many levels
        raise InvalidRequest.field(BODY, "has a number that is too long, or too many levels") from None
    if not isinstance(found, dict):
        raise InvalidRequest.field(BODY, "must be a JSON object")
    return found


def _object(pairs: list[tuple[str, Any]]) -> Object:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidRequest.field(_shown(twice), "stands there twice")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise InvalidRequest.field(BODY, f"is not JSON: {name} must stand in quotes")


_decoder: Final = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_refuse_constant)


def _known_fields(found: Object, descriptor: Descriptor, checks: Checks, path: str) -> Object:
    """The object under the names of the proto, below `path`; every field that is not in the contract is refused."""
    names = _names_of(descriptor)
    known: Object = {}
    for name, value in found.items():
        field = names.get(name)
        if field is None:
            nearest = get_close_matches(name[:_NAME_LENGTH], [one.name for one in descriptor.fields], 1)
            hint = f"; did you mean {nearest[0]}?" if nearest else ""
            checks.refuse(path + _shown(name), f"is no field of the request{hint}")
        elif field.name in known:
            checks.refuse(path + field.name, "stands there twice")
        elif value is not None:
            known[field.name] = _value(value, field, checks, path + field.name)
    return known


@cache
def _names_of(descriptor: Descriptor) -> Mapping[str, FieldDescriptor]:
    """The fields of a message by the two names that JSON may give them."""
    return {name: field for field in descriptor.fields for name in (field.name, field.json_name)}


def _value(value: Any, field: FieldDescriptor, checks: Checks, path: str) -> Any:
    """The value as json_format takes it, which is too lenient for numbers and too strict for names of enum values."""
    if field.is_repeated:
        if isinstance(value, list):
            return [_single(one, field, checks, f"{path}[{at}]") for at, one in enumerate(value)]
        checks.refuse(path, "must be a list")
        return []
    return _single(value, field, checks, path)


def _single(value: Any, field: FieldDescriptor, checks: Checks, path: str) -> Any:
    message = field.message_type
    if message is not None and not message.full_name.startswith(_WELL_KNOWN):
        if isinstance(value, dict):
            return _known_fields(value, message, checks, f"{path}.")
        checks.refuse(path, "must be an object")
    elif field.type == FieldDescriptor.TYPE_ENUM:
        return value.upper() if isinstance(value, str) else value
    elif field.type in _NUMBERS and (
        isinstance(value, bool) or (isinstance(value, str) and not _NUMBER.fullmatch(value))
    ):
        checks.refuse(path, "must be a number")
    return value


_NUMBERS: Final = frozenset(
    {
        *(FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT),
        *(FieldDescriptor.TYPE_INT32, FieldDescriptor.TYPE_INT64),
        *(FieldDescriptor.TYPE_UINT32, FieldDescriptor.TYPE_UINT64),
    }
)
_EXPECTED: Final = {
    **dict.fromkeys(_NUMBERS, "a number in the range of its type"),
    FieldDescriptor.TYPE_STRING: "a string",
    FieldDescriptor.TYPE_BOOL: "true or false",
    FieldDescriptor.TYPE_ENUM: "the name of one of its values",
    FieldDescriptor.TYPE_MESSAGE: "of its type; a time is an RFC 3339 string",
}


def _fill(target: Message, known: Object, path: str) -> None:
    """Set the fields of `target`, which is at `path`.

    Raises:
        InvalidRequest: values are not of the types of their fields.
    """
    fields = _names_of(target.DESCRIPTOR)
    with Checks() as checks:
        for name, value in known.items():
            type_ = fields[name].type
            try:
                if _is_plain(value, type_):
                    setattr(target, name, value)  # as json_format does, which takes ten times as long
                else:
                    json_format.ParseDict({name: value}, target)
            except (json_format.ParseError, OverflowError):
                checks.refuse(path + name, f"must be {_EXPECTED[type_]}")


def _is_plain(value: Any, type_: int) -> bool:
    """Return whether the value of a number or a string is assigned as it is."""
    if isinstance(value, (float, int)):
        return type_ == FieldDescriptor.TYPE_DOUBLE and isfinite(value)
    return type_ == FieldDescriptor.TYPE_STRING and isinstance(value, str) and value.isascii()


def _shown(name: str) -> str:
    """A caller's own name of a field, short and printable."""
    text = name if name.isprintable() else ascii(name)[1:-1]
    return text if len(text) <= _NAME_LENGTH else text[:_NAME_LENGTH] + "..."
