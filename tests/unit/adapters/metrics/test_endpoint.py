"""The port of the metrics."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack

import httpx
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from tests.support.deadlines import DEADLINE, within
from tests.support.sockets import connected

from tradingsignals_server.adapters.metrics import endpoint
from tradingsignals_server.adapters.metrics.endpoint import LoopCollector, MetricsPortTaken, metrics_port


def read_on_loop() -> Iterator[Metric]:
    """A gauge that can be read on the event loop only."""
    asyncio.get_running_loop()
    yield GaugeMetricFamily("answer", "The answer.", 42)


def registry_of_loop() -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(LoopCollector(read_on_loop))
    return registry


async def get(port: int, path: str = "/metrics", **headers: str) -> httpx.Response:
    async with httpx.AsyncClient(verify=False, timeout=DEADLINE) as client:  # noqa: S501 - no TLS is used
        return await within(client.get(f"http://127.0.0.1:{port}{path}", headers=headers))


async def test_metrics_are_read_on_the_event_loop_and_served_as_text() -> None:
    async with metrics_port(registry_of_loop(), "127.0.0.1", 0) as port:
        response = await get(port)
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain")
    assert "answer 42.0" in response.text


@pytest.mark.parametrize(("serves", "status"), [(True, 200), (False, 503)])
async def test_probe_gets_whether_the_server_serves(serves: bool, status: int) -> None:
    async with metrics_port(registry_of_loop(), "127.0.0.1", 0, lambda: serves) as port:
        assert (await get(port, "/ready")).status_code == status
        assert (await get(port, "/ready", host="evil.example")).status_code == 403


async def test_no_page_may_read_them() -> None:
    async with metrics_port(registry_of_loop(), "127.0.0.1", 0) as port:
        response = await get(port, origin="http://127.0.0.1:1")
        assert not [name for name in response.headers if name.startswith("access-control-")]


async def test_other_paths_and_hosts_are_refused() -> None:
    async with metrics_port(registry_of_loop(), "127.0.0.1", 0) as port:
        assert (await get(port, "/")).status_code == 404
        refused = await get(port, host="evil.example")
        assert (refused.status_code, refused.text) == (403, "this host is not served here\n")
        assert (await get(port, host=f"localhost:{port}")).status_code == 200
        assert (await get(port, host="[::1]")).status_code == 200


async def test_scrape_fails_while_the_event_loop_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "READ_SECONDS", 0.2)
    async with metrics_port(registry_of_loop(), "127.0.0.1", 0) as port:
        scraping = asyncio.create_task(asyncio.to_thread(httpx.get, f"http://127.0.0.1:{port}/metrics", timeout=30.0))
        await asyncio.sleep(0)
        time.sleep(1.0)  # noqa: ASYNC251 - the event loop hangs, which is what is tested
        assert (await within(scraping)).status_code in {200, 503}


async def test_taken_port_is_an_error_of_one_line() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as other,
        pytest.raises(MetricsPortTaken, match=r"^port \d+ on 127.0.0.1 cannot be used .*METRICS_PORT"),
    ):
        async with metrics_port(CollectorRegistry(), "127.0.0.1", other.getsockname()[1]):
            pass


async def test_silent_caller_does_not_hold_up_the_end() -> None:
    async with metrics_port(registry_of_loop(), "127.0.0.1", 0) as port:
        silent = socket.create_connection(("127.0.0.1", port))
        assert (await get(port)).status_code == 200
    silent.close()


async def test_oldest_connection_is_closed_for_a_new_one_beyond_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint._Handler, "timeout", 3600.0)
    async with metrics_port(registry_of_loop(), "127.0.0.1", 0) as port, AsyncExitStack() as stack:
        silent = [await stack.enter_async_context(connected(port)) for _ in range(3 * endpoint.CONNECTIONS)]
        assert (await get(port)).status_code == 200
        for reader, _ in silent[: -endpoint.CONNECTIONS]:
            assert await within(reader.read()) == b""
        assert not silent[-1][0].at_eof()


async def test_scrape_that_is_broken_off_is_a_line_of_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(endpoint._Handler, "timeout", 0.05)
    caplog.set_level("INFO")
    async with metrics_port(registry_of_loop(), "127.0.0.1", 0) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await within(reader.read()) == b""  # it was closed
        writer.close()
    assert [record.message for record in caplog.records] == ["a scrape from 127.0.0.1 was broken off: timed out"]
    assert "Traceback" not in capfd.readouterr().err
