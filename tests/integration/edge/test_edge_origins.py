"""Requests of pages in a browser: from served hosts, and from other origins."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import httpx
import pytest

from tradingsignals.v1 import signal_service_pb2, signal_service_pb2_grpc
from tradingsignals_server.adapters.envoy.process import Edge, running_edge
from tradingsignals_server.adapters.envoy.render import Address, EdgeConfig

if TYPE_CHECKING:
    from tests.integration.edge.conftest import Stub

DEADLINE = 20.0  # seconds, for anything that is waited for
LATEST = "/tradingsignals.v1.SignalService/GetLatestSignal"
WEB = {"content-type": "application/grpc-web+proto"}
NO_MESSAGE = b"\0\0\0\0\0"
FOREIGN = (
    "https://evil.example",
    "http://localhost.evil.example",
    "http://evil.example:8003",
    "null",
    "http://127.0.0.1@x",
)
OWN = (
    "http://localhost:5173",
    "http://localhost.:8003",
    "http://127.0.0.1:8003",
    "http://[::1]:8003",
    "https://ui.localhost",
)
WRITES = (
    "/api/signals/generate",
    "/api/signals/generate-from-db",
    "/api/market/bars",
    "/api/signals/positions/p/close",
)


@pytest.mark.parametrize("origin", FOREIGN)
@pytest.mark.parametrize("path", [*WRITES, "/api/signals/model/reload", LATEST])
async def test_other_origins_cannot_change_state(rest: httpx.AsyncClient, path: str, origin: str) -> None:
    refused = await rest.post(path, headers={"origin": origin})  # without a body, which any page may send
    assert refused.status_code == 403
    assert (refused.json()["code"], refused.json()["details"][0]["reason"]) == (7, "CALLER_NOT_ALLOWED")
    assert refused.json()["message"] == "pages of this origin may not change state here; ALLOWED_HOSTS names whose may"
    by_web = await rest.post(path, content=NO_MESSAGE, headers={"origin": origin, **WEB})
    assert by_web.headers["grpc-status"] == "7"


async def test_other_sites_cannot_change_state_without_an_origin(rest: httpx.AsyncClient) -> None:
    cross = await rest.post("/api/signals/generate-from-db", headers={"sec-fetch-site": "cross-site"})
    assert cross.status_code == 403
    same = await rest.post("/api/signals/generate-from-db", headers={"sec-fetch-site": "same-origin"})
    assert same.status_code == 200


@pytest.mark.parametrize("origin", OWN)
async def test_served_origins_may_call(rest: httpx.AsyncClient, origin: str) -> None:
    headers = {"origin": origin, "sec-fetch-site": "cross-site"}
    response = await rest.post("/api/signals/generate", json={}, headers=headers)
    assert (response.status_code, response.headers["access-control-allow-origin"]) == (200, origin)
    web = await rest.post(LATEST, content=NO_MESSAGE, headers={"origin": origin, **WEB})
    assert web.headers["access-control-allow-origin"] == origin


@pytest.mark.parametrize("path", [*WRITES, "/api/signals/model/reload"])
@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/jsonp"],
)
async def test_body_without_json_content_type_is_refused(rest: httpx.AsyncClient, path: str, content_type: str) -> None:
    response = await rest.post(path, content=b"{}", headers={"content-type": content_type})
    assert response.status_code == 415
    assert response.json()["message"] == "a body must be JSON and say so: content-type: application/json"


@pytest.mark.parametrize(("method", "path", "status"), [("POST", "generate", 415), ("PUT", "latest", 405)])
async def test_refusal_is_readable_for_the_page(rest: httpx.AsyncClient, method: str, path: str, status: int) -> None:
    headers = {"origin": OWN[0], "content-type": "text/plain"}
    response = await rest.request(method, f"/api/signals/{path}", content=b"{}", headers=headers)
    assert (response.status_code, response.headers["access-control-allow-origin"]) == (status, OWN[0])
    del headers["origin"]
    response = await rest.request(method, f"/api/signals/{path}", content=b"{}", headers=headers)
    assert "access-control-allow-origin" not in response.headers


async def test_body_without_content_type_is_refused(edge: Edge) -> None:
    async with httpx.AsyncClient(base_url=edge.url) as rest:
        assert (await rest.post("/api/signals/generate", content=b"{}")).status_code == 415
        assert (await rest.post("/api/signals/generate-from-db?symbol=EURUSD")).status_code == 200  # has none


@pytest.mark.parametrize("content_type", ["application/json", "Application/JSON; charset=UTF-8"])
async def test_json_content_type_may_have_a_charset(rest: httpx.AsyncClient, content_type: str) -> None:
    response = await rest.post("/api/signals/generate", content=b"{}", headers={"content-type": content_type})
    assert response.status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8003", "localhost.evil.example", "127.0.0.1.nip.io", "10.0.0.1"]
)
async def test_unknown_hosts_are_refused(edge: Edge, rest: httpx.AsyncClient, host: str) -> None:
    for path in ("/", "/health", "/docs", "/openapi.json", "/api/signals/latest", "/api/events", "/nope"):
        response = await rest.get(path, headers={"host": host})
        assert (response.status_code, response.json()["code"]) == (403, 7), path
    web = await rest.post(LATEST, content=NO_MESSAGE, headers={"host": host, **WEB})
    assert web.headers["grpc-status"] == "7"
    options = [("grpc.default_authority", host)]
    async with grpc.aio.insecure_channel(f"{edge.host}:{edge.port}", options=options) as channel:
        signals = signal_service_pb2_grpc.SignalServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await signals.GetLatestSignal(signal_service_pb2.GetLatestSignalRequest(), timeout=DEADLINE)
    assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert "ALLOWED_HOSTS" in (refused.value.details() or "")


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:1", "localhost.:8003", "ui.localhost:8003", "127.0.0.1", "[::1]:8003"]
)
async def test_local_hosts_are_served_at_any_port(rest: httpx.AsyncClient, host: str) -> None:
    assert (await rest.get("/health", headers={"host": host})).status_code == 200


async def test_allowed_hosts_and_their_origins_are_served(stub: Stub, tmp_path: Path) -> None:
    many = (f"host-{number}.with-a-long-name.example.com" for number in range(300))
    hosts = ("signals.example.com", "*.desk.example.com", *many)
    config = EdgeConfig(Address("127.0.0.1", 0), Address("127.0.0.1", stub.port), allowed_hosts=hosts)
    async with running_edge(config, tmp_path / "edge") as edge, httpx.AsyncClient(base_url=edge.url) as rest:
        await edge.sees_all_healthy()
        for host, status in (
            ("signals.example.com", 200),
            ("a.desk.example.com:443", 200),
            ("host-299.with-a-long-name.example.com", 200),
            ("127.0.0.1", 200),
            ("desk.example.com", 403),
            ("a.signals.example.com", 403),
        ):
            assert (await rest.get("/health", headers={"host": host})).status_code == status, host
            origin = {"origin": f"https://{host}"}
            assert (await rest.post("/api/signals/generate-from-db", headers=origin)).status_code == status, host


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({"content-encoding": "gzip"}, "compressed"),
        ({"content-type": "application/json; charset=utf-16"}, "UTF-8"),
        ({"content-type": "application/json;charset=latin-1"}, "UTF-8"),
        ({"content-encoding": "identity"}, None),
        ({"content-type": 'application/json; charset="UTF-8"'}, None),
    ],
)
async def test_body_in_another_encoding_is_refused(
    rest: httpx.AsyncClient, headers: dict[str, str], reason: str | None
) -> None:
    sent = {"content-type": "application/json"} | headers
    response = await rest.post("/api/signals/generate", content=b"{}", headers=sent)
    assert (response.status_code == 415) is (reason is not None)
    assert reason is None or reason in response.json()["message"]
