"""Requests of pages in a browser: of the service's own origin, of listed ones, and of all others."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import httpx
import pytest
from tests.support.certificates import OPENSSL, Authority
from tests.support.deadlines import DEADLINE, within

from tradingsignals.v1 import signal_service_pb2, signal_service_pb2_grpc
from tradingsignals_server.adapters.envoy.identity import EdgeTls
from tradingsignals_server.adapters.envoy.process import Edge, running_edge
from tradingsignals_server.adapters.envoy.render import Address, EdgeConfig

if TYPE_CHECKING:
    from tests.integration.edge.conftest import Stub

LATEST = "/tradingsignals.v1.SignalService/GetLatestSignal"
FOLLOWED = "/tradingsignals.v1.EventService/StreamEvents"
WEB = {"content-type": "application/grpc-web+proto"}
NO_MESSAGE = b"\0\0\0\0\0"
DESK = "https://desk.example"
"""The one origin that CORS_ORIGINS names here. Its pages may call besides those of the service."""
WRITES = (
    "/api/signals/generate",
    "/api/signals/generate-from-db",
    "/api/market/bars",
    "/api/signals/positions/p/close",
)


@pytest.fixture(scope="module")
async def edge(stub: Stub, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Edge]:
    config = EdgeConfig(Address("127.0.0.1", 0), Address("127.0.0.1", stub.port), cors_origins=(DESK,))
    async with running_edge(config, tmp_path_factory.mktemp("edge")) as edge:
        await within(edge.sees_all_healthy())
        yield edge


@dataclass(frozen=True)
class Call:
    """A request as a page sends it."""

    method: str
    path: str
    headers: dict[str, str] = field(default_factory=dict)
    content: bytes = b""

    async def send(self, rest: httpx.AsyncClient, origin: str | None, host: str | None = None) -> httpx.Response:
        """Send it from a page of an origin and return the response, of a stream its first chunk."""
        named = {"origin": origin, "host": host}
        headers = self.headers | {name: value for name, value in named.items() if value is not None}
        async with asyncio.timeout(DEADLINE):
            async with rest.stream(self.method, self.path, headers=headers, content=self.content) as response:
                if response.is_error:
                    await response.aread()
        return response


JSON = {"content-type": "application/json"}
ASKED = {"access-control-request-method": "POST", "access-control-request-headers": "content-type,x-grpc-web,x-api-key"}
CALLS = {
    "read": Call("GET", "/api/signals/latest"),
    "head": Call("HEAD", "/api/signals/latest"),
    "health": Call("GET", "/health"),
    "file": Call("GET", "/openapi.json"),
    "write": Call("POST", "/api/signals/generate", JSON, b"{}"),
    "write without a body": Call("POST", "/api/signals/generate-from-db"),
    "gRPC-Web": Call("POST", LATEST, WEB, NO_MESSAGE),
    "gRPC-Web as text": Call("POST", LATEST, {"content-type": "application/grpc-web-text"}, b"AAAAAAA="),
    "gRPC-Web stream": Call("POST", FOLLOWED, WEB, NO_MESSAGE),
    "server-sent events": Call("GET", "/api/events", {"accept": "text/event-stream"}),
    "NDJSON": Call("GET", "/api/events"),
}
REFUSED = {
    "wrong method": (405, Call("PUT", "/api/signals/latest")),
    "wrong type": (415, Call("POST", "/api/signals/generate", {"content-type": "text/plain"}, b"{}")),
    "wrong path": (404, Call("GET", "/nope")),
    "wrong query": (400, Call("GET", "/api/signals/latest?symbol=A&symbol=B")),
}
OTHERS = {
    "another host": "http://evil.example",
    "another host with this port": "http://evil.example:{port}",
    "another port of this host": "http://127.0.0.1:1",
    "another port that begins alike": "http://127.0.0.1:{port}0",
    "no port": "http://127.0.0.1",
    "another name of this machine": "http://localhost:{port}",
    "the address of IPv6": "http://[::1]:{port}",
    "another scheme": "https://127.0.0.1:{port}",
    "a host that begins alike": "http://127.0.0.1.evil.example:{port}",
    "a user": "http://127.0.0.1:{port}@evil.example",
    "a sandbox": "null",
    "the listed one by another scheme": "http://desk.example",
    "the listed one at another port": "https://desk.example:8443",
    "a host below the listed one": "https://a.desk.example",
    "a list": "http://127.0.0.1:{port}, http://evil.example",
}


def cors_headers(response: httpx.Response) -> dict[str, str]:
    """Return the headers by which a browser lets a page of another origin read the response."""
    return {name: value for name, value in response.headers.items() if name.startswith("access-control-")}


def is_refused(response: httpx.Response) -> bool:
    """Return whether the call was refused for the origin of its page, which cannot read that either."""
    assert not cors_headers(response)
    if response.headers.get("content-type", "").startswith("application/grpc"):
        return "7" in response.headers.get_list("grpc-status")
    if response.request.method != "HEAD":
        assert response.json()["details"][0]["reason"] == "CALLER_NOT_ALLOWED"
    return response.status_code == 403


@pytest.mark.parametrize("origin", OTHERS.values(), ids=OTHERS)
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
async def test_pages_of_other_origins_may_not_call(
    edge: Edge, rest: httpx.AsyncClient, call: Call, origin: str
) -> None:
    assert is_refused(await call.send(rest, origin.format(port=edge.port)))


@pytest.mark.parametrize("origin", OTHERS.values(), ids=OTHERS)
@pytest.mark.parametrize("path", ["/api/signals/generate", LATEST, "/api/events", "/nope"])
async def test_preflights_of_other_origins_are_refused(
    edge: Edge, rest: httpx.AsyncClient, path: str, origin: str
) -> None:
    assert is_refused(await Call("OPTIONS", path, ASKED).send(rest, origin.format(port=edge.port)))


@pytest.mark.parametrize(("_", "call"), REFUSED.values(), ids=REFUSED)
async def test_pages_of_other_origins_learn_no_other_refusal(rest: httpx.AsyncClient, _: int, call: Call) -> None:
    assert is_refused(await call.send(rest, "http://localhost:1"))
    assert is_refused(await call.send(rest, DESK, host="evil.example"))


@pytest.mark.parametrize("path", [*WRITES, "/api/signals/model/reload"])
async def test_other_origins_change_nothing_without_a_body(rest: httpx.AsyncClient, path: str) -> None:
    response = await Call("POST", path).send(rest, "http://127.0.0.1:1")
    assert is_refused(response)
    assert "CORS_ORIGINS" in response.json()["message"]


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1:{port}", "localhost:{port}", "[::1]:{port}", "desk.localhost:{port}", "localhost:1", "localhost"],
)
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
async def test_pages_of_the_address_that_they_call_may_call(
    edge: Edge, rest: httpx.AsyncClient, call: Call, host: str
) -> None:
    host = host.format(port=edge.port)
    response = await call.send(rest, f"http://{host}", host)
    assert (response.status_code, response.headers.get("grpc-status", "0")) == (200, "0")
    assert not cors_headers(response), "a browser asks for none"


async def test_host_may_name_the_default_port(rest: httpx.AsyncClient) -> None:
    assert (await CALLS["write"].send(rest, "http://localhost", "localhost:80")).status_code == 200
    assert is_refused(await CALLS["write"].send(rest, "http://localhost", "localhost:8080"))
    assert is_refused(await CALLS["write"].send(rest, "http://localhost", "localhost:443"))


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
async def test_pages_of_listed_origins_may_call(rest: httpx.AsyncClient, call: Call) -> None:
    response = await call.send(rest, DESK)
    assert (response.status_code, response.headers.get("grpc-status", "0")) == (200, "0")
    if call is CALLS["file"]:
        assert not cors_headers(response), "files are for pages of this service"
        return
    assert response.headers["access-control-allow-origin"] == DESK
    preflight = await Call("OPTIONS", call.path, ASKED).send(rest, DESK)
    assert (preflight.status_code, preflight.headers["access-control-allow-origin"]) == (200, DESK)


async def test_pages_of_listed_origins_may_send_and_read_these_headers(rest: httpx.AsyncClient) -> None:
    sent = {
        *(
            "accept",
            "authorization",
            "cache-control",
            "content-type",
            "grpc-timeout",
            "idempotency-key",
            "last-event-id",
        ),
        *("traceparent", "tracestate", "x-api-key", "x-grpc-web", "x-request-id", "x-user-agent"),
    }
    preflight = await Call("OPTIONS", LATEST, ASKED).send(rest, DESK)
    assert set(preflight.headers["access-control-allow-headers"].split(", ")) == sent
    response = await CALLS["health"].send(rest, DESK)
    assert {"grpc-status-details-bin", "idempotency-replayed", "x-epoch"} <= set(
        response.headers["access-control-expose-headers"].split(", ")
    )


@pytest.mark.parametrize(("status", "call"), REFUSED.values(), ids=REFUSED)
async def test_pages_that_may_call_can_read_why_a_call_is_refused(
    edge: Edge, rest: httpx.AsyncClient, status: int, call: Call
) -> None:
    response = await call.send(rest, DESK)
    assert (response.status_code, response.headers["access-control-allow-origin"]) == (status, DESK)
    for own in (edge.url, None):
        response = await call.send(rest, own)
        assert (response.status_code, cors_headers(response)) == (status, {})


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
async def test_other_sites_cannot_change_state_without_an_origin(rest: httpx.AsyncClient, site: str) -> None:
    cross = await rest.post("/api/signals/generate-from-db", headers={"sec-fetch-site": site})
    assert cross.status_code == 403
    same = await rest.post("/api/signals/generate-from-db", headers={"sec-fetch-site": "same-origin"})
    assert same.status_code == 200


@pytest.mark.parametrize("path", ["/api/signals/latest", "/api/signals/stream", "/openapi.json", "/"])
async def test_other_sites_show_nothing_of_the_service_without_an_origin(rest: httpx.AsyncClient, path: str) -> None:
    for site in ("cross-site", "same-site"):
        for mode in ("no-cors", None):
            headers = {"sec-fetch-site": site} | ({"sec-fetch-mode": mode} if mode else {})
            assert (await rest.get(path, headers=headers)).status_code == 403


async def test_a_link_of_another_site_may_be_followed(rest: httpx.AsyncClient) -> None:
    headers = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "accept": "text/html"}
    assert (await rest.get("/", headers=headers)).status_code == 200


@pytest.mark.skipif(OPENSSL is None, reason="there is no openssl on this machine")
async def test_own_origin_of_an_encrypted_port_is_https(stub: Stub, tmp_path: Path) -> None:
    authority = Authority.make(tmp_path)
    made = authority.certificate("server", "DNS:localhost", "IP:127.0.0.1")
    config = EdgeConfig(
        Address("127.0.0.1", 0), Address("127.0.0.1", stub.port), tls=EdgeTls(made.path, made.key), cors_origins=(DESK,)
    )
    context = ssl.create_default_context(cafile=str(authority.own.path))
    async with (
        running_edge(config, tmp_path / "edge") as edge,
        httpx.AsyncClient(base_url=edge.url, verify=context, timeout=DEADLINE) as rest,
    ):
        await within(edge.sees_all_healthy())
        for name, call in CALLS.items():
            for origin in (edge.url, DESK):
                assert (await call.send(rest, origin)).status_code == 200, name
            for origin in (f"http://127.0.0.1:{edge.port}", "https://127.0.0.1", f"https://localhost:{edge.port}"):
                assert is_refused(await call.send(rest, origin)), name
        assert (await CALLS["write"].send(rest, "https://localhost", "localhost:443")).status_code == 200


@pytest.mark.parametrize("path", [*WRITES, "/api/signals/model/reload"])
@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/jsonp"],
)
async def test_body_without_json_content_type_is_refused(rest: httpx.AsyncClient, path: str, content_type: str) -> None:
    response = await rest.post(path, content=b"{}", headers={"content-type": content_type})
    assert response.status_code == 415
    assert response.json()["message"] == "a body must be JSON and say so: content-type: application/json"


async def test_body_without_content_type_is_refused(edge: Edge) -> None:
    async with httpx.AsyncClient(base_url=edge.url, timeout=DEADLINE) as rest:
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
    async with (
        running_edge(config, tmp_path / "edge") as edge,
        httpx.AsyncClient(base_url=edge.url, timeout=DEADLINE) as rest,
    ):
        await within(edge.sees_all_healthy())
        for host, status in (
            ("signals.example.com", 200),
            ("a.desk.example.com:443", 200),
            ("host-299.with-a-long-name.example.com", 200),
            ("127.0.0.1", 200),
            ("desk.example.com", 403),
            ("a.signals.example.com", 403),
        ):
            assert (await rest.get("/health", headers={"host": host})).status_code == status, host
            sent = {"origin": f"http://{host}", "host": host}
            assert (await rest.post("/api/signals/generate-from-db", headers=sent)).status_code == status, host


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
