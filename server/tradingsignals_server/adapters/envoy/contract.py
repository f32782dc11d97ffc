"""Routes of the edge, derived from the descriptors of the protos."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from google.api import annotations_pb2
from google.api.http_pb2 import HttpRule
from google.protobuf.descriptor_pb2 import FileDescriptorSet, MethodDescriptorProto

from ...domain.idempotency import KEYED_METHODS

PACKAGE = "tradingsignals.v1"
STREAM_SERVICES = (
    ("tradingsignals.edge.v1.ServerSentEventsService", "text/event-stream", "text/event-stream"),
    ("tradingsignals.edge.v1.NewlineDelimitedService", "application/x-ndjson", None),
)
"""Services that encode REST streams as text: service, content type, and the `accept` header that selects it.

None as `accept` stands for all other callers.
"""
JSON_SERVICE = "tradingsignals.edge.v1.JsonService"
"""Service that encodes responses as JSON."""
BODY_SERVICE = "tradingsignals.edge.v1.JsonBodyService"
"""Service that parses JSON bodies and encodes their responses as JSON."""


@dataclass(frozen=True, slots=True)
class PathField:
    """A field of a request that is part of the path of its REST call."""

    name: str
    repeated_in_query: str  # regular expression of a path and query in which the query contains the field too


@dataclass(frozen=True, slots=True)
class RepeatedField:
    """A field that takes one value, in a query that has it more than once."""

    name: str
    pattern: str  # regular expression of the path and query


@dataclass(frozen=True, slots=True)
class RestPath:
    """A path of the REST interface."""

    pattern: str  # regular expression of the path, which may end with a slash
    methods: tuple[str, ...]  # "GET", "HEAD", ... in alphabetical order

    @property
    def allow(self) -> str:
        """The value of the `allow` header."""
        return ", ".join(self.methods)


@dataclass(frozen=True, slots=True)
class Contract:
    """The public services, and their paths by the way in which the edge routes them."""

    package: str = PACKAGE
    services: list[str] = field(default_factory=list)
    rest_paths: list[RestPath] = field(default_factory=list)
    rest_bodies: list[str] = field(default_factory=list)  # patterns of calls that take a body, for BODY_SERVICE
    keyed_bodies: list[str] = field(default_factory=list)  # those of rest_bodies that take an idempotency key
    json_paths: list[str] = field(default_factory=list)  # patterns of calls for JSON_SERVICE
    rest_streams: list[str] = field(default_factory=list)  # patterns of server-streaming calls
    grpc_streams: list[str] = field(default_factory=list)  # paths of server-streaming calls: "/package.Service/Method"
    grpc_large_requests: list[str] = field(default_factory=list)  # those of grpc_streams that take a body
    grpc_uploads: list[str] = field(default_factory=list)  # paths of client-streaming calls: "/package.Service/Method"
    path_fields: list[PathField] = field(default_factory=list)
    repeated_fields: list[RepeatedField] = field(default_factory=list)


def read_contract(descriptors: bytes) -> Contract:
    """Derive the contract from a serialised FileDescriptorSet."""
    contract = Contract()
    methods: dict[str, set[str]] = {}
    for file in FileDescriptorSet.FromString(descriptors).file:
        for service in file.service:
            name = f"{file.package}.{service.name}"
            if name == JSON_SERVICE:
                paths = [_pattern(path) for method in service.method for _, path in _bindings(method)]
                contract.json_paths.extend(dict.fromkeys(paths))
            if file.package == PACKAGE:
                contract.services.append(name)
                for method in service.method:
                    _add_method(contract, methods, f"/{name}/{method.name}", method)
    contract.repeated_fields.extend(_repeated_fields(descriptors))
    contract.rest_paths.extend(RestPath(pattern, tuple(sorted(found))) for pattern, found in methods.items())
    return contract


def _add_method(contract: Contract, methods: dict[str, set[str]], path: str, method: MethodDescriptorProto) -> None:
    bindings = [(verb, _pattern(template)) for verb, template in _bindings(method)]
    for verb, pattern in bindings:
        methods.setdefault(pattern, set()).update({"GET", "HEAD"} if verb == "GET" else {verb})
    rule = _http_rule(method)
    contract.rest_bodies.extend(pattern for _, pattern in bindings if rule.body)
    if path[1:].replace("/", ".") in KEYED_METHODS:
        contract.keyed_bodies.extend(pattern for _, pattern in bindings)
    if method.server_streaming:
        contract.rest_streams.extend(pattern for _, pattern in bindings)
        contract.grpc_streams.append(path)
        if rule.body:
            contract.grpc_large_requests.append(path)
    if method.client_streaming:
        contract.grpc_uploads.append(path)
    templates = dict.fromkeys(template for _, template in _bindings(method))
    contract.path_fields.extend(found for template in templates for found in _path_fields(template))


def _http_rule(method: MethodDescriptorProto) -> HttpRule:
    return method.options.Extensions[annotations_pb2.http]


def _bindings(method: MethodDescriptorProto) -> Iterator[tuple[str, str]]:
    """Yield the HTTP methods and path templates of a method."""
    rule = _http_rule(method)
    for binding in (rule, *rule.additional_bindings):
        match binding.WhichOneof("pattern"):
            case None:
                pass
            case "custom":
                yield binding.custom.kind, binding.custom.path
            case verb:
                yield verb.upper(), getattr(binding, verb)


def _pattern(template: str) -> str:
    return re.sub(r"\\{\w+\\}", "[^/]+", re.escape(template)).removesuffix("/") + "/?"


def _path_fields(template: str) -> Iterator[PathField]:
    pattern = _pattern(template).replace("[^/]+", "[^/?]+")
    for name in re.findall(r"{(\w+)}", template):
        json_name = _json_name(name)
        # No field name needs an escape, so a key that has one is taken for an attempt to hide the field.
        yield PathField(name, rf"{pattern}\?(?:.*&)?(?:{name}|{json_name}|[^=&]*%[^=&]*)(?:[=&].*)?")


def _repeated_fields(descriptors: bytes) -> Iterator[RepeatedField]:
    """Yield every field of a request that takes one value. The names are those of all requests, of any path.

    A name that takes many values in another request is left out where the request comes in a body.

    Raises:
        ValueError: a name takes one value in one query and many in another.
    """
    files = [file for file in FileDescriptorSet.FromString(descriptors).file if file.package == PACKAGE]
    methods = [method for file in files for service in file.service for method in service.method]
    with_body = {each.input_type.rpartition(".")[2] for each in methods if _http_rule(each).body}
    requests = [message for file in files for message in file.message_type if message.name.endswith("Request")]
    many = {each.name for message in requests for each in message.field if each.label == each.LABEL_REPEATED}
    one: dict[str, bool] = {}
    for message in requests:
        for each in message.field:
            if each.label != each.LABEL_REPEATED:
                one[each.name] = one.get(each.name, True) and message.name in with_body
    for name, only_in_bodies in one.items():
        if name in many:
            if only_in_bodies:
                continue
            raise ValueError(f"{name} takes one value in one query and many in another")
        names = f"(?:{'|'.join(dict.fromkeys((name, _json_name(name))))})"
        yield RepeatedField(name, rf"[^?]*\?(?:.*&)?{names}(?:=[^&]*)?&(?:.*&)?{names}(?:[=&].*)?")


def _json_name(name: str) -> str:
    return re.sub(r"_(\w)", lambda match: match[1].upper(), name)
