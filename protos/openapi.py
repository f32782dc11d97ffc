"""The OpenAPI 3.1 document of the contract, as the edge serves it.

Everything comes from the protos: paths from the `google.api.http` options, descriptions from the comments. Three
conventions of the comments carry meaning here: "Required." on a field of a request; "Absent" on a field of a response
that is a message and may be missing; the name of a gRPC code on a call or a field of its request, which becomes a
response of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from google.api import annotations_pb2
from google.api.http_pb2 import HttpRule
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    MethodDescriptorProto,
)
from google.protobuf.message import Message

Schema = dict[str, Any]

_SCALARS: dict[int, Schema] = {
    FieldDescriptorProto.TYPE_DOUBLE: {"type": "number", "format": "double"},
    FieldDescriptorProto.TYPE_INT32: {"type": "integer", "format": "int32"},
    FieldDescriptorProto.TYPE_INT64: {"type": "string", "format": "int64"},  # JSON numbers end at 2^53
    FieldDescriptorProto.TYPE_BOOL: {"type": "boolean"},
    FieldDescriptorProto.TYPE_STRING: {"type": "string"},
}
_TIMESTAMP: Schema = {"type": "string", "format": "date-time"}
_HTTP_STATUS = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "RESOURCE_EXHAUSTED": 429,
    "UNAVAILABLE": 503,
}
_INTRODUCTION = """\
REST interface of the gRPC package `{package}`. Everything here is also served as gRPC and gRPC-Web on the same port.

Streams are sent as server-sent events for `Accept: text/event-stream` and as one JSON object a line otherwise. Times
are RFC 3339 in UTC; responses have six digits of the second. 64-bit integers are strings. A field that is absent has
no value; it is never 0 instead. Unknown query parameters and unknown fields of a body are refused. A body is at most
32 KiB of `application/json`."""
_ERROR: Schema = {
    "type": "object",
    "description": "Every error, of the service or of the edge.",
    "required": ["code", "message", "details"],
    "properties": {
        "code": {"type": "integer", "format": "int32", "description": "gRPC status code, such as 5 for NOT_FOUND."},
        "message": {"type": "string", "description": "The error in words."},
        "details": {
            "type": "array",
            "description": "The error for programs. Empty if it has only a code.",
            "items": {
                "type": "object",
                "description": "One of google.rpc.ErrorInfo (`reason`, `domain`, `metadata`), google.rpc.BadRequest "
                "(`field_violations`), or a message that the description of the call names.",
                "required": ["@type"],
                "properties": {
                    "@type": {"type": "string", "description": "Type of the detail."},
                    "reason": {"$ref": "#/components/schemas/ErrorReason", "description": "Stable name of the reason."},
                    "domain": {"type": "string", "description": 'Always "tradingsignals".'},
                    "metadata": {
                        "type": "object",
                        "description": "The entries that ErrorReason lists for the reason.",
                        "additionalProperties": {"type": "string"},
                    },
                    "field_violations": {
                        "type": "array",
                        "description": "Every field that cannot be accepted.",
                        "items": {
                            "type": "object",
                            "required": ["field", "description"],
                            "properties": {
                                "field": {"type": "string", "description": "Path of the field in the request."},
                                "description": {"type": "string", "description": "Why it cannot be accepted."},
                            },
                        },
                    },
                },
            },
        },
    },
}


def openapi_document(files: Sequence[FileDescriptorProto]) -> Schema:
    """Describe all services of `files`, which are of one package and carry their comments (source info)."""
    return _Writer(files).document()


class _Writer:
    def __init__(self, files: Sequence[FileDescriptorProto]) -> None:
        self.files = files
        self.package = files[0].package
        self.comments = {name: text for file in files for name, text in _comments(file)}
        self.types = {name: node for file in files for name, node in _types(file.package, file)}
        self.schemas: dict[str, Schema] = {}

    def document(self) -> Schema:
        paths: dict[str, Schema] = {}
        tags = []
        services = [service for file in self.files for service in file.service]
        # The largest first: most callers use it.
        for service in sorted(services, key=lambda service: (-len(service.method), service.name)):
            name = f"{self.package}.{service.name}"
            tag: Schema = {"name": service.name, "description": self.comments[name]}
            tags.append(tag)
            for method in service.method:
                rule = method.options.Extensions[annotations_pb2.http]
                if not rule.WhichOneof("pattern"):
                    comment = self.comments[f"{name}.{method.name}"]
                    tag.setdefault("x-grpc-only", []).append(
                        {"x-grpc-method": f"{name}/{method.name}", "description": comment}
                    )
                    continue
                for number, binding in enumerate([rule, *rule.additional_bindings], start=1):
                    verb = binding.WhichOneof("pattern")
                    operation = self.operation(name, method, binding)
                    operation["operationId"] += f"_{number}" if number > 1 else ""
                    paths.setdefault(getattr(binding, verb), {})[verb] = operation
        self.ref(f"{self.package}.ErrorReason")
        return {
            "openapi": "3.1.0",
            "info": {
                "title": "Trading Signals Service",
                "version": self.package.rpartition(".")[2],
                "description": _INTRODUCTION.format(package=self.package),
            },
            "servers": [{"url": "/"}],
            "tags": tags,
            "paths": paths,
            "components": {
                "schemas": dict(sorted((self.schemas | {"Error": _ERROR}).items())),
                "responses": {"Error": _response("The call failed.", {"$ref": "#/components/schemas/Error"})},
            },
        }

    def operation(self, service: str, method: MethodDescriptorProto, rule: HttpRule) -> Schema:
        comment = self.comments[f"{service}.{method.name}"]
        path = getattr(rule, rule.WhichOneof("pattern"))
        in_path = set(re.findall(r"{(\w+)", path))
        request_type = method.input_type.lstrip(".")
        request = self.message(request_type)
        body = self.body(request_type, rule.body, skip=in_path) if rule.body else None
        # The edge reads query parameters beside a body, too. Documented only where no field requires a body.
        optional = body is not None and "required" not in body and not method.server_streaming
        in_query = rule.body == "" or (rule.body == "*" and optional)

        operation: Schema = {
            "operationId": method.name,
            "tags": [service.rpartition(".")[2]],
            "summary": _clauses(comment)[0],
            "description": comment,
            "x-grpc-method": f"{service}/{method.name}",
        }
        parameters = [
            self.parameter(request_type, field, "path" if field.name in in_path else "query")
            for field in request.field
            if field.name in in_path or in_query
        ]
        if parameters:
            operation["parameters"] = parameters
        if body:
            operation["requestBody"] = {
                "required": "required" in body,
                "content": {"application/json": {"schema": body}},
            }
        operation["responses"] = self.responses(method, comment)
        return operation

    def responses(self, method: MethodDescriptorProto, comment: str) -> Schema:
        response_type = method.output_type.lstrip(".")
        media_types = ["text/event-stream", "application/x-ndjson"] if method.server_streaming else ["application/json"]
        description = self.comments[response_type]
        if method.server_streaming:
            description += " Each event's data, or each line, is one of these."
        responses = {"200": _response(description, self.ref(response_type), media_types)}
        request_type = method.input_type.lstrip(".")
        about_fields = [self.comments[f"{request_type}.{field.name}"] for field in self.message(request_type).field]
        for clause in (clause for text in [comment, *about_fields] for clause in _clauses(text)):
            for status in sorted({_HTTP_STATUS[word] for word in re.findall(r"\w+", clause) if word in _HTTP_STATUS}):
                responses[str(status)] = _response(clause, {"$ref": "#/components/schemas/Error"})
        return responses | {"default": {"$ref": "#/components/responses/Error"}}

    def parameter(self, message: str, field: FieldDescriptorProto, place: str) -> Schema:
        comment = self.comments[f"{message}.{field.name}"]
        parameter: Schema = {"name": field.name, "in": place, "description": comment}
        if place == "path" or "Required." in comment:
            parameter["required"] = True
        return parameter | {"schema": self.type_of(field)}

    def body(self, request_type: str, named: str, skip: set[str]) -> Schema:
        """Return the schema of a body; `named` is the field that it sets, or "*" for the request itself."""
        if named == "*":
            return self.object(request_type, skip, in_request=True)
        (field,) = (field for field in self.message(request_type).field if field.name == named)
        return self.object(field.type_name.lstrip("."), set(), in_request=True)

    def object(self, name: str, skip: set[str], *, in_request: bool) -> Schema:
        properties: dict[str, Schema] = {}
        required = []
        for field in self.message(name).field:
            if field.name in skip:
                continue
            comment = self.comments[f"{name}.{field.name}"]
            properties[field.name] = self.type_of(field) | {"description": comment}
            singular_message = field.type == field.TYPE_MESSAGE and field.label != field.LABEL_REPEATED
            may_be_absent = field.HasField("oneof_index") or (singular_message and "Absent" in comment)
            if "Required." in comment if in_request else not may_be_absent:
                required.append(field.name)
        schema: Schema = {"type": "object", "description": self.comments[name], "properties": properties}
        return schema | ({"required": required} if required else {})

    def type_of(self, field: FieldDescriptorProto) -> Schema:
        if field.type_name == ".google.protobuf.Timestamp":
            schema = _TIMESTAMP
        elif field.type_name:
            schema = self.ref(field.type_name.lstrip("."))
        else:
            schema = _SCALARS[field.type]
        return {"type": "array", "items": schema} if field.label == field.LABEL_REPEATED else schema

    def ref(self, name: str) -> Schema:
        """Return a reference to the schema of a message in responses, or of an enum; add a missing schema."""
        short = name.removeprefix(f"{self.package}.")
        if short not in self.schemas:
            self.schemas[short] = {}  # ends the recursion of a message that contains itself
            node = self.types[name]
            if isinstance(node, EnumDescriptorProto):
                values = [value.name for value in node.value if not value.name.endswith("_UNSPECIFIED")]
                meaning = [f"- `{value}`: {self.comments[f'{name}.{value}']}" for value in values]
                described = "\n".join([self.comments[name], "", *meaning])
                self.schemas[short] = {"type": "string", "description": described, "enum": values}
            else:
                self.schemas[short] = self.object(name, set(), in_request=False)
        return {"$ref": f"#/components/schemas/{short}"}

    def message(self, name: str) -> DescriptorProto:
        node = self.types[name]
        if not isinstance(node, DescriptorProto):
            raise TypeError(f"{name} is not a message")
        return node


def _response(description: str, schema: Schema, media_types: Iterable[str] = ("application/json",)) -> Schema:
    return {"description": description, "content": {media_type: {"schema": schema} for media_type in media_types}}


def _clauses(text: str) -> list[str]:
    """Split `text` into sentences, and also at semicolons and before a gRPC code that follows a comma."""
    clauses = re.split(r"(?<=\.)\s+|;\s+|,\s+(?=[A-Z_]{4,}\b)", text)
    return [clause[:1].upper() + clause[1:].rstrip(".") + "." for clause in clauses]


def _types(scope: str, node: FileDescriptorProto | DescriptorProto) -> Iterator[tuple[str, Message]]:
    """Yield every message and enum below `node` with its full name."""
    messages = node.message_type if isinstance(node, FileDescriptorProto) else node.nested_type
    for enum in node.enum_type:
        yield f"{scope}.{enum.name}", enum
    for message in messages:
        yield f"{scope}.{message.name}", message
        yield from _types(f"{scope}.{message.name}", message)


def _comments(file: FileDescriptorProto) -> Iterator[tuple[str, str]]:
    """Yield each comment with the full name of its element; the lines of a paragraph are joined."""
    for location in file.source_code_info.location:
        node: Any = file
        name = [file.package]
        # A path alternates the number of a repeated field of descriptor.proto and an index into it.
        steps = list(zip(location.path[::2], location.path[1::2], strict=False))
        if not location.leading_comments or len(location.path) != 2 * len(steps):
            continue
        for number, index in steps:
            node = getattr(node, node.DESCRIPTOR.fields_by_number[number].name)[index]
            name.append(node.name)
        paragraphs = location.leading_comments.strip().split("\n\n")
        yield ".".join(name), "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
