"""Envoy's own metrics."""

from __future__ import annotations

from pathlib import Path

import httpx
from tests.support.deadlines import DEADLINE
from tests.support.ports import free_ports

from tradingsignals_server.adapters.envoy.process import running_edge
from tradingsignals_server.adapters.envoy.render import Address, EdgeConfig

NO_SERVER = Address("127.0.0.1", 1)


async def test_metrics_of_the_edge_are_served_and_nothing_else_of_its_admin_interface(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    config = EdgeConfig(Address("127.0.0.1", 0), NO_SERVER, metrics=Address("127.0.0.1", port))
    base = f"http://127.0.0.1:{port}"
    async with running_edge(config, tmp_path) as edge, httpx.AsyncClient(timeout=DEADLINE) as client:
        await client.get(f"{edge.url}/openapi.json")
        found = await client.get(f"{base}/stats/prometheus")
        assert found.status_code == 200
        assert 'envoy_http_downstream_rq_xx{envoy_response_code_class="2",envoy_http_conn_manager_prefix="edge"} 1' in (
            found.text
        )
        for path in ("/", "/quitquitquit", "/config_dump", "/stats", "/stats/prometheus/../../config_dump"):
            assert (await client.get(base + path)).status_code == 404, path
        assert (await client.post(f"{base}/stats/prometheus")).status_code == 404
        assert (await client.post(f"{base}/quitquitquit")).status_code == 404
        page = {"origin": edge.url, "access-control-request-method": "GET"}
        for response in (
            await client.get(f"{base}/stats/prometheus", headers=page),
            await client.options(f"{base}/stats/prometheus", headers=page),
        ):
            assert not [name for name in response.headers if name.startswith("access-control-")], "no page may read it"
        refused = await client.get(f"{base}/stats/prometheus", headers={"host": "evil.example"})
        assert refused.status_code == 403
        assert (await client.get(f"{edge.url}/stats/prometheus")).status_code in {404, 502, 503}, (
            "not on the public port"
        )


async def test_the_admin_interface_is_no_server_that_must_be_healthy(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    config = EdgeConfig(Address("127.0.0.1", 0), NO_SERVER, metrics=Address("127.0.0.1", port))
    async with running_edge(config, tmp_path) as edge:
        assert edge._envoy is not None
        assert await edge._envoy.healthy_upstreams() == 0
