"""Servers in processes of their own on this machine: restarted when they die, ended with this process."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from time import monotonic

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from ...transport.certificates import CertificateRefused, Identity, TlsFiles, load
from ...transport.grpc.credentials import channel_to
from .children import die_with_parent

log = logging.getLogger(__name__)

_READY_SECONDS = 60.0
_STOP_SECONDS = 20.0
_FIRST_BACKOFF_SECONDS = 0.1
_LONGEST_BACKOFF_SECONDS = 5.0
FLEET_HOST = "127.0.0.1"
"""Address that the servers listen on: behind the edge of the same machine."""


@dataclass(frozen=True, slots=True)
class FleetPorts:
    """The ports of a server: of grpc.aio, of its fan-out server and of its metrics; 0 for what it does not have."""

    grpc: int
    fanout: int
    metrics: int


class ServerFailed(Exception):
    """A server does not start. Its log says why."""


class ServerProcess:
    """A server process at one port, over all its restarts."""

    def __init__(self, ports: FleetPorts, settings: Mapping[str, str], tls: TlsFiles | None = None) -> None:
        self.port = ports.grpc
        self.fanout_port = ports.fanout
        self._tls = tls
        own = {
            "GRPC_HOST": FLEET_HOST,
            "GRPC_PORT": str(ports.grpc),
            "FANOUT_PORT": str(ports.fanout),
            "METRICS_PORT": str(ports.metrics),
        }
        self._settings = {**settings, **own}
        self._process: asyncio.subprocess.Process | None = None
        self._changing = asyncio.Lock()
        self._keep = True

    @property
    def pid(self) -> int | None:
        """Process id of the running process; None while there is none."""
        process = self._process
        return None if process is None or process.returncode is not None else process.pid

    async def start(self) -> None:
        """Start the process, and wait until it serves.

        Raises:
            ServerFailed: it ended instead, or took too long.
        """
        async with self._changing:
            await self._start()

    async def restart(self) -> None:
        """Stop the process gracefully, and start it again."""
        async with self._changing:
            await self._stop()
            await self._start()

    async def stop(self) -> None:
        """Stop the process gracefully, for good."""
        self._keep = False
        async with self._changing:
            await self._stop()

    async def keep_running(self) -> None:
        """Restart the process whenever it dies, after longer pauses if it dies soon; return after `stop`."""
        backoff, started = _FIRST_BACKOFF_SECONDS, monotonic()
        while self._keep:
            if self._process is not None:
                await self._process.wait()
            async with self._changing:  # `restart` ends the process too, and starts it itself
                if self.pid is not None or not self._keep:
                    continue
                code = None if self._process is None else self._process.returncode
                log.error("the server on port %d died with exit code %s", self.port, code)
                backoff = _FIRST_BACKOFF_SECONDS if monotonic() - started > _LONGEST_BACKOFF_SECONDS else backoff
                await asyncio.sleep(backoff)
                backoff = min(2 * backoff, _LONGEST_BACKOFF_SECONDS)
                started = monotonic()
                with suppress(ServerFailed):
                    await self._start()

    async def _start(self) -> None:
        try:
            identity = None if self._tls is None else load(self._tls)
        except CertificateRefused as error:
            raise ServerFailed(str(error)) from error
        self._process = process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "tradingsignals_server", "serve"),
            env={**os.environ, **self._settings},
            stdin=asyncio.subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C goes to this process, which stops the servers in order
            preexec_fn=die_with_parent(signal.SIGKILL),
        )
        serving = asyncio.create_task(_serving(self.port, identity))
        ended = asyncio.create_task(process.wait())
        try:
            done, _ = await asyncio.wait((serving, ended), timeout=_READY_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        finally:
            serving.cancel()
            ended.cancel()
            await asyncio.wait((serving, ended))
        if serving not in done:
            await self._kill()
            raise ServerFailed(f"the server on port {self.port} does not start")

    async def _stop(self) -> None:
        if self._process is None:
            return
        with suppress(ProcessLookupError):
            self._process.terminate()
        with suppress(TimeoutError):
            async with asyncio.timeout(_STOP_SECONDS):
                await self._process.wait()
        await self._kill()

    async def _kill(self) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()


async def _serving(port: int, identity: Identity | None) -> None:
    """Wait until the health check of the server reports that it serves."""
    options = [(f"grpc.{which}_reconnect_backoff_ms", 100) for which in ("initial", "min", "max")]
    while True:
        with suppress(grpc.aio.AioRpcError):
            async with channel_to(f"{FLEET_HOST}:{port}", identity, options) as channel:
                stub = health_pb2_grpc.HealthStub(channel)
                request = health_pb2.HealthCheckRequest()
                async for response in stub.Watch(request, wait_for_ready=True):
                    if response.status == health_pb2.HealthCheckResponse.SERVING:
                        return


@asynccontextmanager
async def running_fleet(
    ports: Sequence[FleetPorts], settings: Mapping[str, str], tls: TlsFiles | None = None
) -> AsyncIterator[list[ServerProcess]]:
    """Servers on these ports (see fleet_ports), with `settings` as further environment, until the end of the context.

    With `tls` they accept only callers with a certificate.

    Raises:
        ServerFailed: one does not start.
    """
    fleet = [ServerProcess(each, settings, tls) for each in ports]
    keepers: list[asyncio.Task[None]] = []
    try:
        await fleet[0].start()  # which brings the schema up to date
        await asyncio.gather(*(server.start() for server in fleet[1:]))
        keepers += [asyncio.create_task(server.keep_running()) for server in fleet]
        yield fleet
    finally:
        for keeper in keepers:
            keeper.cancel()
        if keepers:
            await asyncio.wait(keepers)
        await asyncio.gather(*(server.stop() for server in fleet))


def fleet_ports(first: int, count: int, first_metrics: int, *, with_fanout: bool) -> list[FleetPorts]:
    """Choose the ports of a number of servers.

    Those of the servers are `first` and the ones after it, and those of their fan-out servers come after them; free
    ones if `first` is 0. Those of the metrics are `first_metrics` and the ones after it.
    """
    ports = _ports(first, 2 * count if with_fanout else count)
    fanout = ports[count:] if with_fanout else [0] * count
    metrics = range(first_metrics, first_metrics + count) if first_metrics else [0] * count
    return [FleetPorts(*each) for each in zip(ports[:count], fanout, metrics, strict=True)]


def _ports(first: int, count: int) -> list[int]:
    if first:
        return list(range(first, first + count))
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind((FLEET_HOST, 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()
