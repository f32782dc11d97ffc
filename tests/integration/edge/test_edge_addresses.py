"""The address of a caller that the edge passes on, with and without proxies in front that it trusts."""

from __future__ import annotations

from contextlib import asynccontextmanager
from ipaddress import ip_network
from typing import TYPE_CHECKING

import httpx
import pytest
from tests.support.deadlines import DEADLINE, within

from tradingsignals_server.adapters.envoy.process import Edge, running_edge
from tradingsignals_server.adapters.envoy.render import Address, EdgeConfig

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from tests.integration.edge.conftest import Stub

HERE = "127.0.0.1"
CALLER = "203.0.113.9"
PASSED_ON = "x-tradingsignals-address"


@asynccontextmanager
async def edge_behind(stub: Stub, folder: Path, *proxies: str) -> AsyncIterator[Edge]:
    """An edge that trusts proxies of some networks."""
    config = EdgeConfig(
        Address(HERE, 0),
        Address(HERE, stub.port),
        trusted_proxies=tuple(map(ip_network, proxies)),
        secret="of the edge",  # noqa: S106 - of this test
    )
    async with running_edge(config, folder) as edge:
        await within(edge.sees_all_healthy())
        yield edge


async def address_of(stub: Stub, rest: httpx.AsyncClient, *headers: tuple[str, str]) -> str:
    """Return the address that the server gets of a call with these headers."""
    response = await rest.get("/api/signals/latest", headers=list(headers))
    assert response.status_code == 200
    return str(stub.metadata[PASSED_ON])


CLAIMS: list[Sequence[tuple[str, str]]] = [
    (),
    (("x-forwarded-for", CALLER),),
    (("x-real-ip", CALLER), ("forwarded", f"for={CALLER}"), ("x-envoy-external-address", CALLER)),
    ((PASSED_ON, CALLER),),
]


@pytest.mark.parametrize("proxies", [(), ("10.0.0.0/8", "192.0.2.1/32", "::1/128")], ids=["none", "elsewhere"])
async def test_claims_of_a_caller_that_is_no_proxy_are_not_believed(
    stub: Stub, tmp_path: Path, proxies: tuple[str, ...]
) -> None:
    async with (
        edge_behind(stub, tmp_path / "edge", *proxies) as edge,
        httpx.AsyncClient(base_url=edge.url, timeout=DEADLINE) as rest,
    ):
        for claims in CLAIMS:
            assert await address_of(stub, rest, *claims) == HERE


async def test_last_address_that_is_no_proxy_is_the_caller(stub: Stub, tmp_path: Path) -> None:
    async with (
        edge_behind(stub, tmp_path / "edge", "127.0.0.0/8", "10.1.0.0/16") as edge,
        httpx.AsyncClient(base_url=edge.url, timeout=DEADLINE) as rest,
    ):
        for forwarded, address in (
            (CALLER, CALLER),
            (f"6.6.6.6, {CALLER}", CALLER),  # what a caller sends comes before what a proxy appends
            (f"6.6.6.6,{CALLER}, 10.1.2.3", CALLER),
            (f"127.0.0.1, {CALLER}", CALLER),
            ("2001:db8::7", "2001:db8::7"),
            ("10.2.0.1", "10.2.0.1"),
            ("nonsense", HERE),
            ("", HERE),
        ):
            assert await address_of(stub, rest, ("x-forwarded-for", forwarded)) == address, forwarded
        for claims in CLAIMS:
            if not claims or claims[0][0] != "x-forwarded-for":
                assert await address_of(stub, rest, *claims) == HERE
        several = [("x-forwarded-for", "6.6.6.6"), ("x-forwarded-for", CALLER)]
        assert await address_of(stub, rest, *several) == CALLER


async def test_more_addresses_than_are_looked_at_are_refused(stub: Stub, tmp_path: Path) -> None:
    async with (
        edge_behind(stub, tmp_path / "edge", "127.0.0.0/8") as edge,
        httpx.AsyncClient(base_url=edge.url, timeout=DEADLINE) as rest,
    ):
        for before in (0, 18, 19):
            forwarded = "1.1.1.1, " * before + CALLER
            assert await address_of(stub, rest, ("x-forwarded-for", forwarded)) == CALLER
        several = [*[("x-forwarded-for", "1.1.1.1")] * 20, ("x-forwarded-for", CALLER)]
        for headers in ([("x-forwarded-for", "1.1.1.1, " * 20 + CALLER)], several):
            response = await rest.get("/api/signals/latest", headers=headers)
            assert (response.status_code, response.json()["message"]) == (
                400,
                "x-forwarded-for has more than 20 addresses",
            )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-envoy-original-path", "/health"),
        ("x-envoy-upstream-rq-timeout-ms", "1"),
        ("x-envoy-retry-on", "5xx"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "evil.example"),
    ],
)
@pytest.mark.parametrize("proxies", [(), ("127.0.0.0/8",)], ids=["caller", "proxy"])
async def test_headers_of_envoy_itself_change_nothing(
    stub: Stub, tmp_path: Path, proxies: tuple[str, ...], name: str, value: str
) -> None:
    async with (
        edge_behind(stub, tmp_path / "edge", *proxies) as edge,
        httpx.AsyncClient(base_url=edge.url, timeout=DEADLINE) as rest,
    ):
        origin = {"origin": edge.url, name: value}
        response = await rest.post("/api/signals/generate-from-db", headers=origin)
        assert response.status_code == 200
        web = {"content-type": "application/grpc-web+proto", name: value}
        path = "/tradingsignals.v1.SignalService/GetLatestSignal"
        response = await rest.post(path, headers=web, content=b"\0\0\0\0\0")
        assert response.headers.get("grpc-status", "0") == "0"
        assert stub.metadata.get(name) is None
