"""Envoy's configuration, rendered from `envoy/envoy.yaml.j2`, and the folder of files that Envoy needs."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import jinja2

from .contract import BODY_SERVICE, JSON_SERVICE, STREAM_SERVICES, RestPath, read_contract
from .hosts import host_pattern, served_hosts

KEPT_HEADERS = (
    *("host", "te", "content-type", "content-length", "transfer-encoding"),
    *("grpc-timeout", "grpc-encoding", "grpc-accept-encoding"),
    *("x-request-id", "last-event-id", "traceparent", "tracestate", "x-envoy-original-path"),
)
"""Headers of a request that the edge passes to the server; it removes all others."""
CONFIG_FILE = "envoy.yaml"
ASSETS = ("descriptors.binpb", "openapi.json", "docs.html")

# gRPC codes for the HTTP statuses of Envoy's own responses, so that its errors have the form of the server's.
GRPC_CODES = {
    400: 3,  # INVALID_ARGUMENT
    401: 16,  # UNAUTHENTICATED
    403: 7,  # PERMISSION_DENIED
    404: 5,  # NOT_FOUND
    405: 12,  # UNIMPLEMENTED
    408: 4,  # DEADLINE_EXCEEDED
    413: 8,  # RESOURCE_EXHAUSTED
    415: 3,
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
    """Address of a listener: an IP address, or for a backend also a DNS name, and a TCP port."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class EdgeConfig:
    """Parameters of an edge."""

    listen: Address
    backend: Address
    # Further servers of the same database. Calls are distributed over all servers in turn.
    further_backends: tuple[Address, ...] = ()
    # Where the backends serve the same for less, if they do: streams, and calls that take one message.
    fanout: tuple[Address, ...] = ()
    # Address of Envoy's admin interface. A path is a Unix socket that only the user of the process can open; a relative
    # path is relative to the working folder of Envoy.
    admin: Path | Address = Path("admin.sock")
    # Hosts served besides the local ones and `listen`, at any port: "signals.example.com", "*.example.com". Pages of
    # these origins may call from a browser.
    allowed_hosts: tuple[str, ...] = ()
    # Timeout of a REST call that is not a stream, in seconds. gRPC callers set their own deadlines.
    rest_timeout_seconds: int = 15
    # Maximum size of the body of a REST call. With the path it must stay below the maximum request of the server.
    max_body_bytes: int = 32 * 1024
    # Timeout for the arrival of a whole request, and of a connection without a request.
    request_timeout_seconds: int = 30
    idle_timeout_seconds: int = 60
    # Maximum number of connections. Further ones are closed at once.
    max_connections: int = 20_000
    # Maximum number of concurrent streams of an HTTP/2 connection. Further calls are queued in the client.
    max_streams_per_connection: int = 1_000
    # Memory of Envoy above which it refuses new calls.
    max_heap_bytes: int = 2 * 1024**3
    # Whether to write a JSON line for each call to standard output.
    access_log: bool = False

    @property
    def backends(self) -> tuple[Address, ...]:
        """Addresses of all servers."""
        return self.backend, *self.further_backends


@dataclass(frozen=True, slots=True)
class _File(RestPath):
    """A file that Envoy serves itself."""

    name: str
    headers: Mapping[str, str]


def render(config: EdgeConfig, folder: Path) -> str:
    """Render the configuration of an Envoy that has the ASSETS in `folder`, a path in the file system of that Envoy."""
    assets = _asset_folder()
    environment = jinja2.Environment(  # noqa: S701 - YAML; the template quotes strings
        loader=jinja2.FileSystemLoader(assets),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["quoted"] = _quoted
    rendered = environment.get_template(f"{CONFIG_FILE}.j2").render(
        edge=config,
        folder=folder.as_posix(),
        admin_path=config.admin.as_posix() if isinstance(config.admin, Path) else None,
        upstreams={"server": config.backends, **({"fanout": config.fanout} if config.fanout else {})},
        has_name=lambda addresses: not all(re.fullmatch(r"[\d.]+|.*:.*", address.host) for address in addresses),
        stream_services=STREAM_SERVICES,
        json_service=JSON_SERVICE,
        body_service=BODY_SERVICE,
        contract=read_contract((assets / "descriptors.binpb").read_bytes()),
        files=_files(assets),
        hosts=(hosts := served_hosts(config.listen.host, config.allowed_hosts)),
        host_patterns=[host_pattern(host) for host in hosts],
        kept_headers=KEPT_HEADERS,
        grpc_codes=GRPC_CODES,
    )
    return rendered.lstrip()


def _quoted(value: object) -> str:
    """Format `value` as YAML. JSON is valid YAML except for characters above U+FFFF."""
    pair = re.compile(r"\\u(d[89ab]..)\\u(d[c-f]..)")
    return pair.sub(
        lambda found: f"\\U{ord(bytes.fromhex(found[1] + found[2]).decode('utf-16-be')):08x}", json.dumps(value)
    )


def write_edge_files(config: EdgeConfig, folder: Path, mounted_at: Path | None = None) -> Path:
    """Write the configuration and the ASSETS to `folder`, created if necessary; return the path of the configuration.

    `mounted_at` is the path of the folder in the file system of Envoy, if it differs, as it does in a container.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in ASSETS:
        shutil.copyfile(_asset_folder() / name, folder / name)
    path = folder / CONFIG_FILE
    path.write_text(render(config, mounted_at or folder.resolve()), encoding="utf-8")
    return path


def _asset_folder() -> Path:
    """Return the folder `envoy`, in the installed package or in the checkout."""
    package = Path(__file__).parents[2]
    installed = package / "envoy"
    return installed if installed.is_dir() else package.parents[1] / "envoy"


def _files(assets: Path) -> list[_File]:
    policy = _docs_policy((assets / "docs.html").read_text(encoding="utf-8"))
    page = {"content-type": "text/html; charset=utf-8", "content-security-policy": policy}
    return [
        _File("/openapi\\.json", ("GET", "HEAD"), "openapi.json", {"content-type": "application/json"}),
        _File("/docs", ("GET", "HEAD"), "docs.html", page),
    ]


def _docs_policy(page: str) -> str:
    """Return the page's content security policy: its inline script and style by hash, and requests to its origin."""
    hashes = {tag: _inline_hashes(page, tag) for tag in ("script", "style")}
    return (
        f"default-src 'none'; script-src {hashes['script']}; style-src {hashes['style']}; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _inline_hashes(page: str, tag: str) -> str:
    digests = (hashlib.sha256(text.encode()).digest() for text in re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL))
    return " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests) or "'none'"
