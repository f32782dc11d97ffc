"""Floods at every port: callers are served meanwhile, memory stays bounded, and the connection ends with its error.

The limits themselves are tested, each by its own, in tests/integration/transport and tests/integration/edge.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from tests.support import http2 as h2
from tests.support.bars import messages
from tests.support.deadlines import DEADLINE, within
from tests.support.folders import scratch_folder
from tests.support.http2 import Peer, http2_peer
from tests.support.keys import created_key
from tests.support.ports import free_ports
from tests.support.service import RunningService, running_service
from tests.support.sockets import connected
from tests.support.unharmed import unharmed

from tradingsignals_server.domain.bars import Bar

pytestmark = pytest.mark.slow

GROWTH_MB = 300
"""What a flood may make the server, or Envoy, grow by, in resident memory."""
Flood = Callable[[], Iterator[bytes]]
KeyedFlood = Callable[[str | None], Iterator[bytes]]
LIST_SIGNALS = "/tradingsignals.v1.SignalService/ListSignals"


@dataclass
class Ports:
    """A service, and the ports at which it can be flooded."""

    service: RunningService
    metrics: int
    edge_metrics: int
    key: str | None = None
    """Of a viewer, with AUTH=on: what callers use that have to be served meanwhile."""

    def __getitem__(self, name: str) -> int:
        service = self.service
        return {
            "public": service.port,
            "aio": service.grpc_port,
            "fanout": service.fanout_port,
            "edge metrics": self.edge_metrics,
        }[name]


@pytest.fixture(scope="module")
async def ports(known_bars: list[Bar]) -> AsyncIterator[Ports]:
    """A service that no other test uses; no flood may harm it."""
    metrics, edge_metrics = free_ports(2)
    with scratch_folder() as folder:
        async with (
            running_service(folder, METRICS_PORT=str(metrics), EDGE_METRICS_PORT=str(edge_metrics)) as service,
            service.client() as client,
        ):
            await client.publish_bars(messages(known_bars))
            async with unharmed(service):
                yield Ports(service, metrics, edge_metrics)


@pytest.fixture(scope="module")
async def guarded(known_bars: list[Bar]) -> AsyncIterator[Ports]:
    """The same with AUTH=on, and the limits of callers as they are by default."""
    with scratch_folder() as folder:
        async with running_service(folder, AUTH="on") as service:
            viewer, admin = await created_key(service, "viewer"), await created_key(service, "admin")
            async with service.client(admin) as client:
                await client.publish_bars(messages(known_bars))
            async with unharmed(service, viewer):
                yield Ports(service, 0, 0, viewer)


def pings() -> Iterator[bytes]:
    for _ in range(50_000):
        yield h2.frame(h2.PING, 0, 0, bytes(8))


def settings_frames() -> Iterator[bytes]:
    for _ in range(50_000):
        yield h2.settings()


def continuations() -> Iterator[bytes]:
    yield h2.frame(h2.HEADERS, h2.END_STREAM, 1, h2.block(h2.headers()))
    for at in range(20_000):
        yield h2.frame(h2.CONTINUATION, 0, 1, h2.block([(f"x-{at}", "x" * 100)]))


def header_bomb(key: str | None = None) -> Iterator[bytes]:
    """References to one entry of the dynamic table: few bytes that decode to many."""
    entry = b"\x40\x01a\x7f\xa1\x1e" + b"x" * 4000
    for stream in range(1, 2 * 50, 2):
        payload = h2.block(h2.headers(LIST_SIGNALS, x_api_key=key)) + entry + b"\xbe" * 3_000
        yield h2.frame(h2.HEADERS, h2.END_HEADERS | h2.END_STREAM, stream, payload)


def resets(key: str | None = None) -> Iterator[bytes]:
    head, code = h2.block(h2.headers(LIST_SIGNALS, x_api_key=key)), h2.CANCEL.to_bytes(4, "big")
    for stream in range(1, 2 * 10_000, 2):
        yield h2.frame(h2.HEADERS, h2.END_HEADERS, stream, head)
        yield h2.frame(h2.DATA, h2.END_STREAM, stream, h2.framed(b""))
        yield h2.frame(h2.RST_STREAM, 0, stream, code)


def open_streams(key: str | None = None) -> Iterator[bytes]:
    head = h2.block(h2.headers(LIST_SIGNALS, x_api_key=key))
    for stream in range(1, 2 * 5_000, 2):
        yield h2.frame(h2.HEADERS, h2.END_HEADERS, stream, head)


def unread_responses(key: str | None = None) -> Iterator[bytes]:
    """Requests for the largest page, none of which the caller reads; it grants a window all the same."""
    yield h2.window_update(0, 2**30)
    request = h2.framed(b"\x08\xe8\x07")  # limit: 1000
    for stream in range(1, 2 * 300, 2):
        yield h2.frame(h2.HEADERS, h2.END_HEADERS, stream, h2.block(h2.headers(LIST_SIGNALS, x_api_key=key)))
        yield h2.frame(h2.DATA, h2.END_STREAM, stream, request)
        yield h2.window_update(stream, 2**30)


FLOODS: tuple[Flood, ...] = (pings, settings_frames, continuations, header_bomb, resets, open_streams, unread_responses)
PORTS = ("public", "aio", "fanout", "edge metrics")
ENDS: dict[tuple[str, object], int] = {
    ("fanout", pings): h2.ENHANCE_YOUR_CALM,
    ("fanout", settings_frames): h2.ENHANCE_YOUR_CALM,
    ("fanout", continuations): h2.ENHANCE_YOUR_CALM,
    ("fanout", header_bomb): h2.COMPRESSION_ERROR,
    ("public", continuations): h2.INTERNAL_ERROR,
    ("edge metrics", continuations): h2.INTERNAL_ERROR,
}
"""The error that ends a connection, where there must be one; a server may also close it at once. All callers behind the
edge share a connection, so nothing that a caller can cause through the edge ends it."""


@pytest.mark.parametrize("flood", FLOODS)
@pytest.mark.parametrize("port", PORTS)
async def test_flood_delays_no_other_caller_for_long_and_takes_bounded_memory(
    ports: Ports, port: str, flood: Flood
) -> None:
    await hold(ports, port, flood, flood())


GUARDED_FLOODS = (header_bomb, resets, open_streams, unread_responses)


@pytest.mark.parametrize("has_key", [False, True], ids=["no key", "a key of another viewer"])
@pytest.mark.parametrize("flood", GUARDED_FLOODS)
@pytest.mark.parametrize("port", ["public", "fanout"])
async def test_flood_is_endured_with_credentials_on(
    guarded: Ports, another_viewer: str, port: str, flood: KeyedFlood, has_key: bool
) -> None:
    await hold(guarded, port, flood, flood(another_viewer if has_key else None))


@pytest.fixture(scope="module")
async def another_viewer(guarded: Ports) -> str:
    return await created_key(guarded.service, "viewer")


async def hold(ports: Ports, port: str, flood: object, frames: Iterator[bytes]) -> None:
    """Send a flood; others are served meanwhile, memory is bounded, and the connection ends as it must."""
    before = memory_mb(ports.service)
    slow = flood is unread_responses
    async with http2_peer(ports[port], receive_buffer=4096 if slow else None) as peer:
        sending = asyncio.create_task(send(peer, frames))
        ending = asyncio.create_task(asyncio.sleep(DEADLINE, "open") if slow else end_of(peer))
        try:
            for _ in range(3):
                await within(is_served(ports))
            await within(asyncio.wait([sending]))
            expected = ENDS.get((port, flood))
            if expected is not None:
                assert await within(ending) in {expected, "closed"}
            await within(is_served(ports))
            grown = [now - then for now, then in zip(memory_mb(ports.service), before, strict=True)]
            assert max(grown) < GROWTH_MB, grown
        finally:
            for task in (sending, ending):
                task.cancel()
            await asyncio.wait([sending, ending])


async def test_silent_and_slow_callers_keep_no_scrape_out(ports: Ports) -> None:
    async with AsyncExitStack() as stack, httpx.AsyncClient(verify=False, timeout=DEADLINE) as client:  # noqa: S501 - no TLS is used
        for port, path in ((ports.metrics, "/metrics"), (ports.edge_metrics, "/stats/prometheus")):
            for at in range(100):
                _, writer = await stack.enter_async_context(connected(port))
                writer.write((b"", b"GET ", b"GET / HTTP/1.1\r\nx: " + b"x" * 60_000)[at % 3])
            scrape = await within(client.get(f"http://127.0.0.1:{port}{path}"))
            assert scrape.status_code == 200


async def send(peer: Peer, flood: Iterator[bytes]) -> None:
    """Send frames until there are no more, or the server has closed the connection or takes nothing."""
    with suppress(ConnectionError, TimeoutError):
        for at, frames in enumerate(flood):
            peer.writer.write(frames)
            if at % 100 == 0:
                await asyncio.wait_for(peer.writer.drain(), 5)


async def end_of(peer: Peer) -> int | str:
    """Read until the connection ends; return the code of its GOAWAY, "closed" if it was closed without one."""
    frames = h2.Frames()
    with suppress(ConnectionError):
        while data := await peer.reader.read(1 << 16):
            for frame in frames.feed(data):
                if frame.type == h2.GOAWAY:
                    return frame.code
    return "closed"


async def is_served(ports: Ports) -> None:
    """Be served, over each way in."""
    headers = {} if ports.key is None else {"x-api-key": ports.key}
    async with ports.service.rest() as rest:
        path = "/health" if ports.key is None else "/"  # the flood may have used up the limit of those without a key
        assert (await rest.get(path, headers=headers, timeout=DEADLINE)).status_code == 200
    async with ports.service.direct_client(ports.key) as client:
        await client.model_info()


def memory_mb(service: RunningService) -> list[int]:
    """Return the resident memory of the server and of Envoy, in MB."""
    return [
        int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 // 10**6
        for pid in (service.pid, service.child("envoy").pid)
    ]
