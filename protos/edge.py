"""The services that the edge calls for REST callers, as protos: each follows from the public services.

JsonService has every call with one response, JsonBodyService those of them that take a body, and a service for each
text format has the streams. A call without a route is for gRPC alone, and in none of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from google.api import annotations_pb2
from google.api.http_pb2 import HttpRule
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto, MethodDescriptorProto
from protos.comments import comments_of

FOLDER = "tradingsignals/edge/v1"
BODY_FIELD = "google.api.HttpBody body = 100;"
_SCALARS = {
    FieldDescriptorProto.TYPE_DOUBLE: "double",
    FieldDescriptorProto.TYPE_INT32: "int32",
    FieldDescriptorProto.TYPE_INT64: "int64",
    FieldDescriptorProto.TYPE_BOOL: "bool",
    FieldDescriptorProto.TYPE_STRING: "string",
}
_HEAD = """\
// Generated from tradingsignals/v1 by `make generate`; do not edit.
syntax = "proto3";

package tradingsignals.edge.v1;

"""
_JSON = """\
// Every call of tradingsignals.v1 with one response, whose response is JSON. Internal: the edge routes the REST paths
// of these calls here, and passes the text on unchanged. Methods and paths are those of the public services."""
_JSON_BODY = """\
// The calls of JsonService that take a body, with the unparsed body. Internal: the edge routes the REST paths of these
// calls here, because its transcoder drops unknown fields. A request has the fields of the public request that may be
// in the path or the query, with the same numbers."""
_SERVER_SENT_EVENTS = """\
// The streams of tradingsignals.v1 as server-sent events. Internal: the edge routes the REST paths of these streams
// here, and passes the text on unchanged. Each event is one response of the stream: `id:` has its `through_sequence`,
// and `data:` the response as JSON. A stream begins with a heartbeat, which is sent at once. The metadata
// `last-event-id`, which a browser sends when it reconnects, overrides `resume_after`."""
_NEWLINE_DELIMITED = """\
// The streams of tradingsignals.v1 as lines of JSON. Internal: the edge routes the REST paths of these streams here,
// and passes the text on unchanged. Each line is one response of the stream as JSON. A stream begins with a heartbeat,
// which is sent at once."""


class _Call(NamedTuple):
    """A public call that has a route."""

    service: str  # full name
    file: str  # import path of its proto
    method: MethodDescriptorProto
    rule: HttpRule
    beside_body: Sequence[tuple[FieldDescriptorProto, str]]  # fields of the path and the query, and which of the two


def edge_protos(files: Sequence[FileDescriptorProto]) -> Mapping[str, str]:
    """Return the text of each proto of the edge by its import path.

    `files` are those of the public contract, compiled with their comments.

    Raises:
        ValueError: a field that may be in the query is neither a scalar nor in a body alone.
    """
    calls = list(_calls(files))
    single = [call for call in calls if not call.method.server_streaming]
    streams = [call for call in calls if call.method.server_streaming]
    return {
        f"{FOLDER}/json_service.proto": _proto(_JSON, "JsonService", single),
        f"{FOLDER}/json_body_service.proto": _proto(
            _JSON_BODY, "JsonBodyService", [call for call in single if call.rule.body], "BodyRequest"
        ),
        f"{FOLDER}/server_sent_events_service.proto": _proto(
            _SERVER_SENT_EVENTS, "ServerSentEventsService", streams, "EventsOfBodyRequest"
        ),
        f"{FOLDER}/newline_delimited_service.proto": _proto(
            _NEWLINE_DELIMITED, "NewlineDelimitedService", streams, "LinesOfBodyRequest"
        ),
    }


def _calls(files: Sequence[FileDescriptorProto]) -> Iterator[_Call]:
    messages = {f".{file.package}.{message.name}": message for file in files for message in file.message_type}
    comments = {name: text for file in files for name, text in comments_of(file)}
    for file in files:
        for service in file.service:
            for method in service.method:
                rule = method.options.Extensions[annotations_pb2.http]
                if not rule.WhichOneof("pattern"):
                    continue
                fields = messages[method.input_type].field
                in_path = set(re.findall(r"{(\w+)", rule.post))
                others = [field for field in fields if field.name not in in_path]
                # The same rule is in openapi.py: where a body is required, it has everything.
                name = method.input_type.lstrip(".")
                is_required = any("Required." in comments[f"{name}.{field.name}"] for field in others)
                in_query = rule.body == "*" and not is_required and not method.server_streaming
                places = [(field, "path" if field.name in in_path else "query") for field in fields]
                beside = [(field, place) for field, place in places if place == "path" or in_query]
                yield _Call(f"{file.package}.{service.name}", file.name, method, rule, beside)


def _proto(comment: str, service: str, calls: Sequence[_Call], body_request: str = "") -> str:
    """Return a proto; with `body_request`, the name of a request without other fields, bodies are left unparsed."""
    unparsed = [call for call in calls if body_request and call.rule.body]
    used = {call.file for call in calls if call not in unparsed}
    imports = ["google/api/annotations.proto", "google/api/httpbody.proto", *sorted(used)]
    requests = {
        call.method.name: f"{call.method.name}{body_request}" if call.beside_body else body_request for call in unparsed
    }
    lines = [f'import "{file}";' for file in imports]
    lines += ["", comment, f"service {service} {{"]
    for call in calls:
        lines += _method(call, requests.get(call.method.name, ""))
    lines.append("}")
    if body_request in requests.values():
        lines += ["", "// A request without fields outside of the body.", *_request(body_request, [])]
    for call in unparsed:
        if call.beside_body:
            public = call.method.input_type.lstrip(".")
            lines += ["", f"// See {public}.", *_request(requests[call.method.name], call.beside_body)]
    return _HEAD + "\n".join(lines) + "\n"


def _method(call: _Call, request: str) -> Iterable[str]:
    """Yield the lines of a method; `request` is the name of its request here, or empty: the public one."""
    method = call.method
    stream = "stream " if method.server_streaming else ""
    yield f"  // {call.service}.{method.name}."
    yield f"  rpc {method.name}({request or method.input_type.lstrip('.')}) returns ({stream}google.api.HttpBody) {{"
    body = "body" if request else call.rule.body
    parts = [_pattern(call.rule), *([f'body: "{body}"'] if body else [])]
    parts += [f"additional_bindings {{{_pattern(binding)}}}" for binding in call.rule.additional_bindings]
    if len(parts) == 1:
        yield f"    option (google.api.http) = {{{parts[0]}}};"
    else:
        yield "    option (google.api.http) = {"
        yield from (f"      {part}" for part in parts)
        yield "    };"
    yield "  }"


def _pattern(rule: HttpRule) -> str:
    verb = rule.WhichOneof("pattern")
    return f'{verb}: "{getattr(rule, verb)}"'


def _request(name: str, beside_body: Iterable[tuple[FieldDescriptorProto, str]]) -> Iterable[str]:
    yield f"message {name} {{"
    for field, place in beside_body:
        if field.label == field.LABEL_REPEATED or field.type not in _SCALARS:
            raise ValueError(f"{name}.{field.name} is no scalar, and cannot be in the {place}")
        yield f"  // From the {place}."
        optional = "optional " if field.proto3_optional else ""
        yield f"  {optional}{_SCALARS[field.type]} {field.name} = {field.number};"
    yield "  // The body and its content type."
    yield f"  {BODY_FIELD}"
    yield "}"
