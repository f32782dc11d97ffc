"""Envoy's configuration, rendered from `envoy/envoy.yaml.j2`, and the folder of files it needs."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import jinja2
from google.api import annotations_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorSet, MethodDescriptorProto

PACKAGE = "tradingsignals.v1"
STREAM_SERVICES = (
    ("tradingsignals.edge.v1.ServerSentEventsService", "text/event-stream"),
    ("tradingsignals.edge.v1.NewlineDelimitedService", None),
)
"""Who writes the text of REST streams, in the order in which they are asked: for callers that accept this, for all."""
JSON_SERVICE = "tradingsignals.edge.v1.JsonService"
"""Who writes the text of long lists."""
CONFIG_FILE = "envoy.yaml"
ASSETS = ("descriptors.binpb", "openapi.json", "docs.html")

# gRPC codes for the statuses that Envoy itself answers with, so that its errors look like the server's.
GRPC_CODES = {
    400: 3,  # INVALID_ARGUMENT
    401: 16,  # UNAUTHENTICATED
    403: 7,  # PERMISSION_DENIED
    404: 5,  # NOT_FOUND
    405: 12,  # UNIMPLEMENTED
    408: 4,  # DEADLINE_EXCEEDED
    413: 8,  # RESOURCE_EXHAUSTED
    426: 12,
    429: 8,
    431: 8,
    500: 13,  # INTERNAL
    502: 14,  # UNAVAILABLE
    503: 14,
    504: 4,
}


@dataclass(frozen=True, slots=True)
class Address:
    """Where something listens: an IP address or, for the backend only, also a DNS name; and a TCP port."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class EdgeConfig:
    """What differs from one edge to another."""

    listen: Address
    backend: Address
    # Further servers of the same database, which calls go to in turn.
    further_backends: tuple[Address, ...] = ()
    # Where the backends serve the same for less, if they do: streams, and calls that take one message.
    lean: tuple[Address, ...] = ()
    # Where Envoy's own interface listens. A path is a Unix socket that only this user can open; if it is relative, then
    # to the folder that Envoy runs in.
    admin: Path | Address = Path("admin.sock")
    # Origins, as a regular expression, whose pages may call from a browser.
    allowed_origins: str = r"https?://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?"
    # Time for one REST call that is not a stream, in seconds. gRPC callers bring their own deadlines.
    rest_timeout_seconds: int = 15
    # Largest body of a REST call, in bytes.
    max_body_bytes: int = 1024 * 1024
    # Connections of callers at one time. Further ones are closed at once.
    max_connections: int = 20_000
    # One JSON line a call on standard output.
    access_log: bool = False

    @property
    def backends(self) -> tuple[Address, ...]:
        """Every server."""
        return self.backend, *self.further_backends


@dataclass(frozen=True, slots=True)
class _PathField:
    """A field of a request that stands in the path of its call."""

    name: str
    repeated_in_query: str  # regular expression of a path and query that give the field twice


@dataclass(frozen=True, slots=True)
class _Contract:
    """What the routes need to know of the protos."""

    package: str
    services: list[str]
    json_paths: list[str]  # paths of calls that JSON_SERVICE answers: "/api/signals/history"
    rest_streams: list[str]  # paths of server-streaming calls: "/api/events"
    grpc_streams: list[str]  # paths of server-streaming calls: "/package.Service/Method"
    grpc_uploads: list[str]  # paths of client-streaming calls: "/package.Service/Method"
    path_fields: list[_PathField]


def render(config: EdgeConfig, folder: Path) -> str:
    """Render the configuration for an Envoy that finds the ASSETS in `folder`, by the path it sees it under."""
    assets = _asset_folder()
    environment = jinja2.Environment(  # noqa: S701 - YAML; strings are quoted where they stand
        loader=jinja2.FileSystemLoader(assets),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["quoted"] = json.dumps  # JSON is YAML
    rendered = environment.get_template(f"{CONFIG_FILE}.j2").render(
        edge=config,
        folder=folder.as_posix(),
        admin_path=config.admin.as_posix() if isinstance(config.admin, Path) else None,
        upstreams={"server": config.backends, **({"lean": config.lean} if config.lean else {})},
        cluster="lean" if config.lean else "server",
        has_name=lambda places: not all(re.fullmatch(r"[\d.]+|.*:.*", place.host) for place in places),
        stream_services=STREAM_SERVICES,
        json_service=JSON_SERVICE,
        contract=_read_contract((assets / "descriptors.binpb").read_bytes()),
        docs_policy=_docs_policy((assets / "docs.html").read_text(encoding="utf-8")),
        grpc_codes=GRPC_CODES,
    )
    return rendered.lstrip()


def write_edge_files(config: EdgeConfig, folder: Path, seen_as: Path | None = None) -> Path:
    """Write all that an Envoy needs into `folder`, which is made if need be; return the path of its configuration.

    `seen_as` is the folder's path as that Envoy sees it, where it differs: inside a container.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in ASSETS:
        shutil.copyfile(_asset_folder() / name, folder / name)
    written = folder / CONFIG_FILE
    written.write_text(render(config, seen_as or folder.resolve()), encoding="utf-8")
    return written


def _asset_folder() -> Path:
    """The tree's `envoy` folder, which travels inside the wheel."""
    package = Path(__file__).parents[2]
    installed = package / "envoy"
    return installed if installed.is_dir() else package.parents[1] / "envoy"


def _read_contract(descriptors: bytes) -> _Contract:
    contract = _Contract(PACKAGE, [], [], [], [], [], [])
    for file in FileDescriptorSet.FromString(descriptors).file:
        for service in file.service:
            name = f"{file.package}.{service.name}"
            if name == JSON_SERVICE:
                contract.json_paths.extend(path for method in service.method for path in _rest_paths(method))
            if file.package != PACKAGE:
                continue
            contract.services.append(name)
            for method in service.method:
                paths = list(_rest_paths(method))
                if method.server_streaming:
                    contract.rest_streams.extend(paths)
                    contract.grpc_streams.append(f"/{name}/{method.name}")
                if method.client_streaming:
                    contract.grpc_uploads.append(f"/{name}/{method.name}")
                contract.path_fields.extend(field for path in paths for field in _path_fields(path))
    return contract


def _rest_paths(method: MethodDescriptorProto) -> Iterator[str]:
    rule = method.options.Extensions[annotations_pb2.http]
    for binding in (rule, *rule.additional_bindings):
        if verb := binding.WhichOneof("pattern"):
            yield getattr(binding, verb)


def _path_fields(path: str) -> Iterator[_PathField]:
    pattern = re.sub(r"\\{\w+\\}", "[^/?]+", re.escape(path))
    for name in re.findall(r"{(\w+)}", path):
        json_name = re.sub(r"_(\w)", lambda match: match[1].upper(), name)
        # No name needs an escape in it, so a key that has one is up to no good.
        yield _PathField(name, rf"{pattern}/?\?(?:.*&)?(?:{name}|{json_name}|[^=&]*%[^=&]*)(?:[=&].*)?")


def _docs_policy(page: str) -> str:
    """The page's content security policy: its own script and style, by their hashes, and this host's answers."""
    hashes = {tag: _inline_hashes(page, tag) for tag in ("script", "style")}
    return (
        f"default-src 'none'; script-src {hashes['script']}; style-src {hashes['style']}; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _inline_hashes(page: str, tag: str) -> str:
    digests = (hashlib.sha256(text.encode()).digest() for text in re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL))
    return " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests) or "'none'"
