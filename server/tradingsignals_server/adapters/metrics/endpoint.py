"""The port of the metrics: GET /metrics, and GET /ready for probes that speak HTTP without TLS.

It has threads of its own, so that neither a scrape nor its caller holds calls up. What is read from the service is read
on the event loop, within a millisecond or two; the text is made in the thread.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import socket
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.core import Metric
from prometheus_client.exposition import ThreadingWSGIServer
from prometheus_client.registry import Collector

from ..envoy.hosts import host_pattern, is_loopback, served_hosts

PATH: Final = "/metrics"
READY_PATH: Final = "/ready"

_UNAVAILABLE: Final = "503 Service Unavailable"

READ_SECONDS: Final = 5.0
"""How long a scrape waits for the event loop. A scrape that fails then is what a server that hangs looks like."""

CALLER_SECONDS: Final = 10.0
"""How long a caller may take to send its request, and to take the response."""

CONNECTIONS: Final = 16
"""Connections at a time, each with a thread. Beyond that the oldest is closed: a scrape takes milliseconds, so the
oldest is the slowest, and callers that are slow on purpose keep no scrape out."""

log = logging.getLogger(__name__)

StartResponse = Callable[[str, list[tuple[str, str]]], object]


class MetricsPortTaken(Exception):
    """The address of the metrics cannot be listened on. The message is one line that says how to take another."""

    def __init__(self, host: str, port: int, why: str) -> None:
        super().__init__(
            f"port {port} on {host} cannot be used ({why}): set METRICS_PORT to another, 0 for no metrics, or stop "
            "what uses it"
        )


class LoopCollector(Collector):
    """Reads metrics on the event loop that it was made on, when another thread collects them."""

    def __init__(self, read: Callable[[], Iterable[Metric]]) -> None:
        self._read = read
        self._loop = asyncio.get_running_loop()

    def collect(self) -> Iterable[Metric]:
        """See Collector.

        Raises:
            TimeoutError: the event loop does not get to it.
        """
        return asyncio.run_coroutine_threadsafe(self._on_loop(), self._loop).result(READ_SECONDS)

    def describe(self) -> Iterable[Metric]:
        """Return nothing: names are not checked for duplicates, since the table has each once."""
        return ()

    async def _on_loop(self) -> list[Metric]:
        return list(self._read())


class _Handler(WSGIRequestHandler):
    timeout = CALLER_SECONDS

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - named by the base class
        """Log nothing: a scrape comes every few seconds."""


class _Server(ThreadingWSGIServer):
    request_queue_size = 128
    """Connections that may wait to be accepted. By default it is five, and a burst of others delays a scrape."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self._lock = threading.Lock()
        self._connections: dict[socket.socket, None] = {}
        """Those that are open, the oldest first."""
        super().__init__(*arguments, **named)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a new connection in a thread of its own; close the oldest if there are too many."""
        with self._lock:
            self._connections[request] = None
            if len(self._connections) > CONNECTIONS:
                oldest = next(iter(self._connections))
                del self._connections[oldest]
                with suppress(OSError):  # its caller has closed it
                    oldest.shutdown(socket.SHUT_RDWR)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection, and forget it."""
        with self._lock:
            self._connections.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - named by the base class
        """Log that a caller went away, or took too long, without a traceback."""
        log.info("a scrape from %s was broken off: %s", client_address[0], sys.exception())


class _ServerOnIPv6(_Server):
    address_family = socket.AF_INET6


@asynccontextmanager
async def metrics_port(
    registry: CollectorRegistry, host: str, port: int, is_ready: Callable[[], bool] = lambda: True
) -> AsyncIterator[int]:
    """Serve the metrics of a registry until the end of the context; give the port, a free one if `port` is 0.

    Args:
        registry: the metrics.
        host: the address to listen on.
        port: the port.
        is_ready: whether the server reports that it serves; called in a thread.

    Raises:
        MetricsPortTaken: the address cannot be listened on.
    """
    # A page whose host name leads here has that name in its requests.
    hosts = [host_pattern(each) for each in served_hosts(host, ())] if is_loopback(host) else [".*"]
    kind = _ServerOnIPv6 if ":" in host else _Server
    try:
        # It looks a name of the host up, which may take long.
        server = await asyncio.to_thread(
            make_server,
            host,
            port,
            partial(_serve, make_wsgi_app(registry), is_ready, re.compile("|".join(hosts), re.IGNORECASE)),
            kind,
            _Handler,
        )
    except OSError as error:
        raise MetricsPortTaken(host, port, os.strerror(error.errno or 0).lower()) from error
    thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        # It waits for the thread, which may wait for the event loop.
        await asyncio.to_thread(server.shutdown)
        server.server_close()


def _serve(
    app: Callable[[dict[str, Any], StartResponse], Iterable[bytes]],
    is_ready: Callable[[], bool],
    hosts: re.Pattern[str],
    request: dict[str, Any],
    respond: StartResponse,
) -> Iterable[bytes]:
    """Serve a request, if its host is one of `hosts`."""
    if not hosts.fullmatch(_name_of(request.get("HTTP_HOST", ""))):
        return _respond(respond, "403 Forbidden", "this host is not served here")
    if request["PATH_INFO"] == READY_PATH:
        return _respond(respond, "200 OK", "ready") if is_ready() else _respond(respond, _UNAVAILABLE, "about to stop")
    if request["PATH_INFO"] != PATH:
        return _respond(respond, "404 Not Found", f"the metrics are at {PATH}")
    try:
        return app(request, respond)
    except TimeoutError:
        return _respond(respond, _UNAVAILABLE, f"no values within {READ_SECONDS:g} s")


def _name_of(host: str) -> str:
    name, _, port = host.rpartition(":")
    return name if name and port.isdigit() else host


def _respond(respond: StartResponse, status: str, message: str) -> Iterable[bytes]:
    respond(status, [("content-type", "text/plain; charset=utf-8")])
    return [f"{message}\n".encode()]
