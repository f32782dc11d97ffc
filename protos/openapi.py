"""The OpenAPI 3.1 document of the contract, as the edge serves it.

Everything comes from the protos: paths from the `google.api.http` options, descriptions from the comments. Three
conventions of the comments carry meaning here: "Required." on a field of a request; "Absent" on a field of a response
that is a message and may be missing; the name of a gRPC code on a call or a field of its request, which becomes a
response of its own.

Bounds and defaults are those that the server checks (`api/mapping/bounds.py`). Examples were recorded from a running
service, by `record_examples.py`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from math import isinf
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
from protos.comments import comments_of
from protos.openapi_parts import (
    ERROR_RESPONSES,
    ERROR_SCHEMAS,
    IDEMPOTENCY_KEY_PARAMETER,
    INTRODUCTION,
    INVALID,
    KEY_REUSED,
    NOT_JSON,
    OTHER,
    REPLAYED_HEADER,
    SECURITY,
    SECURITY_SCHEMES,
    STREAM_TYPES,
    TOO_LARGE,
    UNAVAILABLE,
    Schema,
    error_response,
)

from tradingsignals_server.api.mapping.bounds import (
    DEFAULT_SYMBOL,
    DEFAULT_SYMBOLS,
    SYMBOL_PATTERN,
    greatest_length,
    number_bounds,
)
from tradingsignals_server.domain.idempotency import KEYED_METHODS
from tradingsignals_server.transport.grpc.metadata import REPLAYED_KEY

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


def openapi_document(
    files: Sequence[FileDescriptorProto],
    examples: Mapping[str, Schema] | None = None,
    access: Mapping[str, str] | None = None,
) -> Schema:
    """Describe all services of `files`, which are of one package and carry their comments (source info).

    `examples` has for each method a call and its response: `parameters`, `body` and `response`. `access` has the rule
    of each method by its path.
    """
    return _Writer(files, examples or {}, access or {}).document()


class _Writer:
    def __init__(
        self, files: Sequence[FileDescriptorProto], examples: Mapping[str, Schema], access: Mapping[str, str]
    ) -> None:
        self.files = files
        self.access = access
        self.examples = examples
        self.package = files[0].package
        self.comments = {name: text for file in files for name, text in comments_of(file)}
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
                for binding in (rule, *rule.additional_bindings):
                    verb = binding.WhichOneof("pattern")
                    path = getattr(binding, verb)
                    operation = self.operation(name, method, binding)
                    operation["operationId"] += _at(path) if binding is not rule else ""
                    paths.setdefault(path, {})[verb] = operation
        self.ref(f"{self.package}.ErrorReason")
        return {
            "openapi": "3.1.0",
            "info": {
                "title": "Trading Signals Service",
                "version": self.package.rpartition(".")[2],
                "description": INTRODUCTION.format(package=self.package),
            },
            "servers": [{"url": "/"}],
            "security": SECURITY,
            "tags": tags,
            "paths": paths,
            "components": {
                "schemas": dict(sorted((self.schemas | ERROR_SCHEMAS).items())),
                "responses": ERROR_RESPONSES,
                "securitySchemes": SECURITY_SCHEMES,
            },
        }

    def operation(self, service: str, method: MethodDescriptorProto, rule: HttpRule) -> Schema:
        comment = self.comments[f"{service}.{method.name}"]
        path = getattr(rule, rule.WhichOneof("pattern"))
        in_path = set(re.findall(r"{(\w+)", path))
        request_type = method.input_type.lstrip(".")
        request = self.message(request_type)
        named = self.body(request_type, rule.body, skip=in_path) if rule.body else None
        body = None if named is None else self.schemas[named["$ref"].rpartition("/")[2]]
        # The same rule is in edge.py: parameters in the query beside a body only where no field requires a body.
        optional = body is not None and "required" not in body and not method.server_streaming
        in_query = rule.body == "" or (rule.body == "*" and optional)

        operation: Schema = {
            "operationId": method.name,
            "tags": [service.rpartition(".")[2]],
            "summary": _clauses(comment)[0],
            "description": comment,
            "x-grpc-method": f"{service}/{method.name}",
        }
        if (rule_name := self.access.get(f"/{service}/{method.name}")) is not None:
            operation["x-role"] = rule_name
        if method.server_streaming:
            operation["x-server-stream"] = True
        example = self.examples.get(method.name, {})
        parameters = [
            self.parameter(request_type, field, "path" if field.name in in_path else "query", example)
            for field in request.field
            if field.name in in_path or in_query
        ]
        if has_key := f"{service}.{method.name}" in KEYED_METHODS:
            parameters.append(IDEMPOTENCY_KEY_PARAMETER)
        if parameters:
            operation["parameters"] = parameters
        if named is not None and body is not None:
            content: Schema = {"schema": named}
            if "body" in example:
                content["example"] = example["body"]
            operation["requestBody"] = {"required": "required" in body, "content": {"application/json": content}}
        operation["responses"] = self.responses(method, comment, has_body=body is not None, has_key=has_key)
        return operation

    def responses(self, method: MethodDescriptorProto, comment: str, *, has_body: bool, has_key: bool) -> Schema:
        response_type = method.output_type.lstrip(".")
        media_types = STREAM_TYPES if method.server_streaming else ("application/json",)
        description = self.comments[response_type]
        if method.server_streaming:
            description += " Each event's data, or each line, is one of these."
        found = self.examples.get(method.name, {}).get("response")
        content = {each: self.content(response_type, each, found) for each in media_types}
        responses: Schema = {"200": {"description": description, "content": content}}
        responses["400"] = _shared(INVALID)  # of the edge, on every path
        if has_body:
            responses |= {"413": _shared(TOO_LARGE), "415": _shared(NOT_JSON)}
        if has_key:
            responses["200"]["headers"] = {REPLAYED_KEY: REPLAYED_HEADER}
            responses["422"] = _shared(KEY_REUSED)
        request_type = method.input_type.lstrip(".")
        about_fields = [self.comments[f"{request_type}.{field.name}"] for field in self.message(request_type).field]
        clauses: dict[int, list[str]] = {}
        for clause in (clause for text in [comment, *about_fields] for clause in _clauses(text)):
            for status in sorted({_HTTP_STATUS[word] for word in re.findall(r"\w+", clause) if word in _HTTP_STATUS}):
                clauses.setdefault(status, []).append(clause)
        for status, said in clauses.items():
            general = [ERROR_RESPONSES[INVALID]["description"]] if status == _HTTP_STATUS["INVALID_ARGUMENT"] else []
            responses[str(status)] = error_response(" ".join([*said, *general]))
        responses.setdefault("503", _shared(UNAVAILABLE))
        return dict(sorted(responses.items())) | {"default": _shared(OTHER)}

    def content(self, response_type: str, media_type: str, example: Any) -> Schema:
        """Return a response in one media type. That of a stream has the responses one after the other."""
        content: Schema = {"schema": self.ref(response_type)}
        return content if example is None else content | {"example": example[media_type]}

    def parameter(self, message: str, field: FieldDescriptorProto, place: str, example: Schema) -> Schema:
        comment = self.comments[f"{message}.{field.name}"]
        parameter: Schema = {"name": field.name, "in": place, "description": comment}
        if place == "path" or "Required." in comment:
            parameter["required"] = True
        parameter["schema"] = self.request_type(message, field)
        if field.name in example.get("parameters", {}):
            parameter["example"] = example["parameters"][field.name]
        return parameter

    def body(self, request_type: str, named: str, skip: set[str]) -> Schema:
        """Return a reference to the schema of a body; `named` is the field that it sets, or "*" for the request."""
        if named == "*":
            return self.ref(request_type, in_request=True, skip=skip)
        (field,) = (field for field in self.message(request_type).field if field.name == named)
        return self.ref(field.type_name.lstrip("."), in_request=True)

    def object(self, name: str, skip: Collection[str], *, in_request: bool) -> Schema:
        properties: dict[str, Schema] = {}
        required = []
        for field in self.message(name).field:
            if field.name in skip:
                continue
            comment = self.comments[f"{name}.{field.name}"]
            type_ = self.request_type(name, field) if in_request else self.type_of(field)
            properties[field.name] = type_ | {"description": comment}
            singular_message = field.type == field.TYPE_MESSAGE and field.label != field.LABEL_REPEATED
            may_be_absent = field.HasField("oneof_index") or (singular_message and "Absent" in comment)
            if "Required." in comment if in_request else not may_be_absent:
                required.append(field.name)
        schema: Schema = {"type": "object", "description": self.comments[name], "properties": properties}
        return schema | ({"required": required} if required else {})

    def request_type(self, message: str, field: FieldDescriptorProto) -> Schema:
        """Return the type of a field of a request, with the bounds that the server checks and the default."""
        short = message.removeprefix(f"{self.package}.")
        schema = dict(self.type_of(field, in_request=True))
        item = schema
        if field.label == field.LABEL_REPEATED:
            item = schema["items"] = dict(schema["items"])
        comment = self.comments[f"{message}.{field.name}"]
        if field.name in {"symbol", "symbols"}:
            may_be_empty = field.name == "symbol" and "Required." not in comment
            item["pattern"] = f"^(?:{SYMBOL_PATTERN[1:-1]})?$" if may_be_empty else SYMBOL_PATTERN
        if field.name.endswith("_id") and "UUID" in comment:
            item["format"] = "uuid"
        if f"{short}.{field.name}" in DEFAULT_SYMBOLS:
            schema["default"] = DEFAULT_SYMBOL
        if field.type == field.TYPE_BOOL and not field.proto3_optional:
            schema["default"] = False
        if field.label == field.LABEL_REPEATED:
            most = greatest_length(short, field.name)
            return schema | ({} if most is None else {"maxItems": most})
        return schema | _bounded(schema, short, field.name)

    def type_of(self, field: FieldDescriptorProto, *, in_request: bool = False) -> Schema:
        if field.type_name == ".google.protobuf.Timestamp":
            schema = _TIMESTAMP
        elif field.type_name:
            schema = self.ref(field.type_name.lstrip("."), in_request=in_request)
        else:
            schema = _SCALARS[field.type]
        return {"type": "array", "items": schema} if field.label == field.LABEL_REPEATED else schema

    def ref(self, name: str, *, in_request: bool = False, skip: Collection[str] = ()) -> Schema:
        """Return a reference to the schema of a message or an enum; add a missing schema.

        A message that occurs in requests and in responses has two: in a request fewer of its fields are required.
        """
        short = name.removeprefix(f"{self.package}.")
        node = self.types[name]
        if in_request and isinstance(node, DescriptorProto) and not short.endswith("Request"):
            short += "Input"
        if short not in self.schemas:
            self.schemas[short] = {}  # ends the recursion of a message that contains itself
            if isinstance(node, EnumDescriptorProto):
                values = [value.name for value in node.value if not value.name.endswith("_UNSPECIFIED")]
                meaning = [f"- `{value}`: {self.comments[f'{name}.{value}']}" for value in values]
                described = "\n".join([self.comments[name], "", *meaning])
                self.schemas[short] = {"type": "string", "description": described, "enum": values}
            else:
                self.schemas[short] = self.object(name, skip, in_request=in_request)
        return {"$ref": f"#/components/schemas/{short}"}

    def message(self, name: str) -> DescriptorProto:
        node = self.types[name]
        if not isinstance(node, DescriptorProto):
            raise TypeError(f"{name} is not a message")
        return node


def _bounded(schema: Schema, message: str, field: str) -> Schema:
    """Return the bounds of a number, and its default."""
    bounds = number_bounds(message, field)
    if bounds is None or schema.get("format") not in {"int32", "int64", "double"}:
        return {}
    default = {} if bounds.default is None else {"default": bounds.default}
    if schema["format"] == "int64":
        return {"pattern": f"^[0-9]{{1,{len(str(bounds.high))}}}$"} | default
    highest = {} if isinf(bounds.high) else {"maximum": bounds.high}
    return {"minimum": bounds.low} | highest | default


def _shared(name: str) -> Schema:
    return {"$ref": f"#/components/responses/{name}"}


def _at(path: str) -> str:
    """Return the end of the name of an operation that is another one at `path`: "AtSignalsHealth"."""
    words = re.findall(r"[A-Za-z0-9]+", path.removeprefix("/api"))
    return "At" + "".join(word[0].upper() + word[1:] for word in words)


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
