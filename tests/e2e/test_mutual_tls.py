"""Two servers and the edge that know each other by certificates only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import grpc
import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.support.bars import messages
from tests.support.builders import walk
from tests.support.certificates import OPENSSL, SERVER_NAME, Inner, placed
from tests.support.deadlines import DEADLINE, poll, within
from tests.support.folders import scratch_folder
from tests.support.ports import free_row
from tests.support.processes import children
from tests.support.service import RunningService, running_service

import tradingsignals

pytestmark = pytest.mark.skipif(OPENSSL is None, reason="there is no openssl on this machine")

SYMBOLS = [f"S{n}COP" for n in range(6)]


@dataclass(frozen=True)
class Secured:
    """A service of two servers with TLS behind the edge, and its certificates."""

    service: RunningService
    inner: Inner
    metrics_port: int


@pytest.fixture(scope="module")
async def secured(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Secured]:
    inner = Inner.make(tmp_path_factory.mktemp("certificates"))
    metrics = free_row(2)
    settings = {"GRPC_PORT": "0", "METRICS_PORT": str(metrics), **inner.settings()}
    with scratch_folder() as folder:
        async with running_service(folder, "up", "--servers", "2", **settings) as service:
            yield Secured(service, inner, metrics)


async def expiries(secured: Secured) -> set[float]:
    """Return when the certificate of each server expires, by its metrics."""
    found = set()
    async with httpx.AsyncClient(timeout=DEADLINE, verify=False) as caller:  # noqa: S501 - metrics have no TLS
        for port in (secured.metrics_port, secured.metrics_port + 1):
            while (await caller.get(f"http://127.0.0.1:{port}/ready")).text != "ready\n":
                await poll()  # it is not if a probe of the database takes too long
            text = (await caller.get(f"http://127.0.0.1:{port}/metrics")).text
            name = "tradingsignals_certificate_expiry_timestamp_seconds"
            (family,) = [one for one in text_string_to_metric_families(text) if one.name == name]
            found.add(family.samples[0].value)
    return found


async def publish(client: tradingsignals.AsyncClient, first: int, count: int) -> None:
    """Publish bars of every symbol, each of which one of the two servers owns."""
    for seed, symbol in enumerate(SYMBOLS):
        bars = walk(first + count, seed=seed, symbol=symbol)[first:]
        assert (await client.publish_bars(messages(bars))).rejected == 0


async def test_bars_are_forwarded_between_servers_and_followed_through_the_edge(secured: Secured) -> None:
    async with secured.service.client() as client, client.stream_events() as events:
        await publish(client, 0, 60)
        seen = {(await within(anext(aiter(events)))).sequence for _ in range(60)}
        assert len(seen) == 60
        for symbol in SYMBOLS:
            assert (await client.generate_signal_from_db(symbol=symbol)).symbol == symbol
    assert "TLS" not in secured.service.log


async def test_port_of_a_server_takes_no_caller_without_a_certificate(secured: Secured) -> None:
    async with secured.service.database() as database:
        address, _ = [row["address"] for row in await database.fetch("SELECT address FROM servers")]
    name = (("grpc.ssl_target_name_override", SERVER_NAME),)
    for credentials in (None, secured.inner.credentials(), secured.inner.credentials(secured.inner.stranger)):
        channel = (
            grpc.aio.insecure_channel(address)
            if credentials is None
            else grpc.aio.secure_channel(address, credentials, options=name)
        )
        async with channel:
            call: Any = channel.unary_unary("/grpc.health.v1.Health/Check", None, None)(b"", timeout=DEADLINE)
            assert await call.code() is grpc.StatusCode.UNAVAILABLE


async def test_new_certificates_are_used_within_seconds_and_streams_go_on(secured: Secured) -> None:
    inner, before = secured.inner, {each.pid for each in children(secured.service.pid)}
    (first,) = await within(expiries(secured))
    async with secured.service.client() as client, client.stream_events() as events:
        placed(inner.authority.certificate("second", f"DNS:{SERVER_NAME}", days=1), inner.server.path.parent)
        async with asyncio.timeout(DEADLINE):
            while len(found := await expiries(secured)) != 1 or found == {first}:
                await poll()
        await publish(client, 60, 5)
        assert (await within(anext(aiter(events)))).sequence
    assert {each.pid for each in children(secured.service.pid)} == before, "nothing was restarted"
