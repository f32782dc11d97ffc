"""Envoy's configuration, rendered from `envoy/envoy.yaml.j2`, and the folder of files that Envoy needs."""

from __future__ import annotations

import json
import os
import re
import shutil
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import jinja2

from ...domain.access import Network
from ...transport.certificates import TlsFiles
from .accept import refuses_pattern, wants_json_pattern
from .contract import BODY_SERVICE, JSON_SERVICE, STREAM_SERVICES, read_contract
from .files import NO_PAGE, EdgeFile, edge_files, methods_of, write_files
from .hosts import is_loopback, served_hosts
from .identity import CA_BUNDLE, EdgeTls, EdgeTokens

KEPT_HEADERS = (
    *("host", "te", "content-type", "content-length", "transfer-encoding"),
    *("grpc-timeout", "grpc-encoding", "grpc-accept-encoding"),
    *("x-request-id", "last-event-id", "traceparent", "tracestate", "x-envoy-original-path"),
    *("authorization", "x-api-key", "idempotency-key", "x-tradingsignals-token"),
)
"""Headers of a request that the edge passes to the server; it removes all others."""
CONFIG_FILE = "envoy.yaml"
DESCRIPTORS = "descriptors.binpb"

# By HTTP status the gRPC code and the reason of Envoy's own errors, so that they have the form of the server's.
EDGE_ERRORS = {
    400: (3, "MALFORMED_REQUEST"),  # INVALID_ARGUMENT
    401: (16, "CALLER_NOT_ALLOWED"),  # UNAUTHENTICATED
    403: (7, "CALLER_NOT_ALLOWED"),  # PERMISSION_DENIED
    404: (5, "UNKNOWN_PATH"),  # NOT_FOUND
    405: (12, "WRONG_METHOD"),  # UNIMPLEMENTED
    408: (4, "TIMEOUT"),  # DEADLINE_EXCEEDED
    413: (8, "REQUEST_TOO_LARGE"),  # RESOURCE_EXHAUSTED
    415: (3, "UNSUPPORTED_BODY"),
    426: (12, "MALFORMED_REQUEST"),
    429: (8, "OVERLOADED"),
    431: (8, "REQUEST_TOO_LARGE"),
    500: (13, "INTERNAL_ERROR"),  # INTERNAL
    502: (14, "SERVER_UNAVAILABLE"),  # UNAVAILABLE
    503: (14, "SERVER_UNAVAILABLE"),
    504: (4, "TIMEOUT"),
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
    # Where Envoy's own metrics are, if anywhere: GET /stats/prometheus.
    metrics: Address | None = None
    # Collector that gets spans by OTLP over gRPC, and the share of the calls without a trace that get one.
    collector: Address | None = None
    traced_share: float = 1.0
    # Hosts served besides the local ones and `listen`, at any port: "signals.example.com", "*.example.com".
    allowed_hosts: tuple[str, ...] = ()
    # Origins whose pages may call from a browser, besides that which a request is sent to.
    cors_origins: tuple[str, ...] = ()
    # Networks of proxies whose x-forwarded-for is believed; of everyone else the address of the connection is.
    trusted_proxies: tuple[Network, ...] = ()
    # Without it the public port is not encrypted.
    tls: EdgeTls | None = None
    # TLS to the servers, which is mutual. Without it calls to them are not encrypted.
    servers_tls: TlsFiles | None = None
    # Without it no tokens are accepted.
    tokens: EdgeTokens | None = None
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
    # What the servers believe the edge by; without it they do not learn the address of a caller.
    secret: str = ""
    # Whether to write a JSON line for each call to standard output.
    access_log: bool = False

    @property
    def backends(self) -> tuple[Address, ...]:
        """Addresses of all servers."""
        return self.backend, *self.further_backends


def render(config: EdgeConfig, folder: Path) -> str:
    """Render the configuration of an Envoy that has its files in `folder`, a path in the file system of that Envoy."""
    return _rendered(config, folder, edge_files(_asset_folder() / "openapi.json"))


def _rendered(config: EdgeConfig, folder: Path, files: list[EdgeFile]) -> str:
    assets = _asset_folder()
    rendered = (
        _environment(assets)
        .get_template(f"{CONFIG_FILE}.j2")
        .render(
            edge=config,
            folder=folder.as_posix(),
            admin_path=config.admin.as_posix() if isinstance(config.admin, Path) else None,
            upstreams={"server": config.backends, **({"fanout": config.fanout} if config.fanout else {})},
            has_name=lambda addresses: not all(re.fullmatch(r"[\d.]+|.*:.*", address.host) for address in addresses),
            stream_services=STREAM_SERVICES,
            json_service=JSON_SERVICE,
            body_service=BODY_SERVICE,
            contract=read_contract((assets / DESCRIPTORS).read_bytes()),
            files=files,
            file_methods=methods_of(files),
            metrics_hosts=_metrics_hosts(config.metrics),
            hosts=served_hosts(config.listen.host, config.allowed_hosts),
            ca_bundle=CA_BUNDLE,
            no_page=NO_PAGE,
            wants_json=wants_json_pattern(),
            refuses=refuses_pattern,
            kept_headers=KEPT_HEADERS,
            edge_errors=EDGE_ERRORS,
        )
    )
    return rendered.lstrip()


def _metrics_hosts(metrics: Address | None) -> list[str]:
    """Return the hosts for which the metrics are served; none serves all, for a scraper on another machine."""
    return served_hosts(metrics.host, ()) if metrics is not None and is_loopback(metrics.host) else []


@cache
def _environment(assets: Path) -> jinja2.Environment:
    """Return the templates in a folder, of which each is compiled once."""
    environment = jinja2.Environment(  # noqa: S701 - YAML; the template quotes strings
        loader=jinja2.FileSystemLoader(assets),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["quoted"] = _quoted
    return environment


def render_secrets(config: EdgeConfig) -> dict[str, str]:
    """Render the files by which Envoy finds the certificates, by their names."""
    found: dict[str, str] = {}
    if (tls := config.tls) is not None:
        found["tls.yaml"] = _certificate("server", tls.certificate, tls.key)
        if tls.client_ca is not None:
            found["clients.yaml"] = _authorities("clients", tls.client_ca)
    if (inner := config.servers_tls) is not None:
        found["edge.yaml"] = _certificate("edge", inner.certificate, inner.key)
        found["servers.yaml"] = _authorities("servers", inner.authorities, inner.server_name)
    return found


def _certificate(name: str, certificate: Path, key: Path) -> str:
    values = {"certificate": certificate.absolute(), "key": key.absolute(), "folder": certificate.absolute().parent}
    return _secret("certificate.yaml.j2", name, **values)


def _authorities(name: str, authorities: Path, dns_name: str | None = None) -> str:
    """Render the authorities of certificates, which must have `dns_name` among their DNS names if it is given."""
    values = {"authorities": authorities.absolute(), "folder": authorities.absolute().parent}
    return _secret("authorities.yaml.j2", name, **values, dns_name=dns_name)


def _secret(template: str, name: str, **values: Path | str | None) -> str:
    texts = {key: None if value is None else str(value) for key, value in values.items()}
    return _environment(_asset_folder()).get_template(template).render(name=name, **texts).lstrip()


def _quoted(value: object) -> str:
    """Format `value` as YAML. JSON is valid YAML except for characters above U+FFFF."""
    pair = re.compile(r"\\u(d[89ab]..)\\u(d[c-f]..)")
    return pair.sub(
        lambda found: f"\\U{ord(bytes.fromhex(found[1] + found[2]).decode('utf-16-be')):08x}", json.dumps(value)
    )


def write_edge_files(
    config: EdgeConfig, folder: Path, mounted_at: Path | None = None, *, is_private: bool = False
) -> Path:
    """Write the configuration and the files that it names to `folder`; return the path of the configuration.

    The folder is created if necessary.

    Args:
        config: the parameters.
        folder: where to write.
        mounted_at: its path in the file system of Envoy, if that differs, as in a container.
        is_private: let only the user of this process read the configuration, which may contain a secret.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(_asset_folder() / DESCRIPTORS, folder / DESCRIPTORS)
    files = edge_files(_asset_folder() / "openapi.json")  # once, because they are compressed
    write_files(files, folder)
    for name, text in render_secrets(config).items():
        (folder / name).write_text(text, encoding="utf-8")
    path = folder / CONFIG_FILE
    path.unlink(missing_ok=True)  # an earlier one may have other permissions
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if is_private else 0o666), "w") as file:  # noqa: PTH123 - the descriptor has the mode
        file.write(_rendered(config, mounted_at or folder.resolve(), files))
    return path


def _asset_folder() -> Path:
    """Return the folder `envoy`, in the installed package or in the checkout."""
    package = Path(__file__).parents[2]
    installed = package / "envoy"
    return installed if installed.is_dir() else package.parents[1] / "envoy"
