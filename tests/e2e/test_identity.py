"""TLS, client certificates and tokens at the public port."""

from __future__ import annotations

import asyncio
import hmac
import os
import ssl
import time
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from tests.support.certificates import OPENSSL, Authority, Certificate, TokenIssuer, unsigned
from tests.support.deadlines import DEADLINE, poll, within
from tests.support.folders import scratch_folder
from tests.support.service import RunningService, running_service

import tradingsignals

pytestmark = pytest.mark.skipif(OPENSSL is None, reason="there is no openssl on this machine")

ISSUER, AUDIENCE = "https://login.example", "trading-signals"
HISTORY, RELOAD = "/api/signals/history", "/api/signals/model/reload"


@dataclass(frozen=True)
class Identified:
    """A service with TLS that accepts tokens and client certificates, and who issues them."""

    service: RunningService
    authority: Authority
    served: Path
    clients: dict[str, Certificate]
    issuer: TokenIssuer
    other_issuer: TokenIssuer

    def context(self, client: str | None = None) -> ssl.SSLContext:
        """Return a context that trusts the service, with the certificate of a client."""
        context = ssl.create_default_context(cafile=str(self.authority.own.path))
        if client is not None:
            certificate = self.clients[client]
            context.load_cert_chain(certificate.path, certificate.key)
        return context

    def rest(self, client: str | None = None) -> httpx.AsyncClient:
        """Return a REST client."""
        url = f"https://localhost:{self.service.port}"
        return httpx.AsyncClient(base_url=url, verify=self.context(client), timeout=DEADLINE)

    def token(self, issuer: TokenIssuer | None = None, **claims: Any) -> str:
        """Return a token that is valid but for `claims`; None leaves one out."""
        return (issuer or self.issuer).token(valid_claims(**claims))


def valid_claims(**claims: Any) -> dict[str, Any]:
    now = int(time.time())
    given = {"iss": ISSUER, "aud": AUDIENCE, "sub": "desk", "iat": now, "exp": now + 600, "role": "viewer", **claims}
    return {name: value for name, value in given.items() if value is not None}


@pytest.fixture(scope="module")
async def identified(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Identified]:
    made = tmp_path_factory.mktemp("certificates")
    served = made / "served"
    served.mkdir()
    authority, strangers = Authority.make(made), Authority.make(made, "strangers")
    first = authority.certificate("first", "DNS:localhost")
    first.path.rename(served / "server.pem")
    first.key.rename(served / "server.key")
    clients = {
        "engine": authority.certificate("engine", "DNS:engine.desk.example"),
        "screen": authority.certificate("screen", "URI:spiffe://desk.example/screen"),
        "nobody": authority.certificate("nobody", "DNS:nobody.example"),
        "stranger": strangers.certificate("stranger", "DNS:engine.desk.example"),
    }
    issuer, other = TokenIssuer.make(made), TokenIssuer.make(made, "other")
    (made / "jwks.json").write_text(issuer.jwks())
    settings = {
        "AUTH": "on",
        "TLS_CERT": str(served / "server.pem"),
        "TLS_KEY": str(served / "server.key"),
        "TLS_CLIENT_CA": str(authority.own.path),
        "TLS_CLIENT_REQUIRED": "false",
        "TLS_CLIENT_ROLES": "engine.desk.example=admin,spiffe://desk.example/*=viewer",
        "JWT_ISSUER": ISSUER,
        "JWT_AUDIENCE": AUDIENCE,
        "JWT_JWKS": str(made / "jwks.json"),
    }
    with scratch_folder() as folder:
        async with running_service(folder, **settings) as service:
            yield Identified(service, authority, served, clients, issuer, other)


async def statuses(rest: httpx.AsyncClient, token: str | None = None) -> tuple[int, int]:
    """Return the statuses of a read and of a call for admins."""
    headers = {"content-type": "application/json"} | ({} if token is None else {"authorization": f"Bearer {token}"})
    read = await rest.get(HISTORY, headers=headers)
    reload = await rest.post(RELOAD, content=b"{}", headers=headers)
    return read.status_code, reload.status_code


@pytest.mark.parametrize(
    ("role", "expected"), [("viewer", (200, 403)), ("admin", (200, 200)), ("king", (403, 403)), (None, (403, 403))]
)
async def test_token_has_the_role_that_it_names(
    identified: Identified, role: str | None, expected: tuple[int, int]
) -> None:
    async with identified.rest() as rest:
        assert await statuses(rest, identified.token(role=role)) == expected


async def test_token_that_is_not_valid_is_refused(identified: Identified) -> None:
    now = int(time.time())
    valid = identified.token(role="admin")
    head, body, signature = valid.split(".")
    forged_claims = unsigned({"alg": "RS256", "kid": "one"}, valid_claims(role="admin", sub="mallory")).split(".")[1]
    as_hmac = unsigned({"alg": "HS256", "kid": "one"}, valid_claims(role="admin"))
    by_public_key = hmac.digest(identified.issuer.public_pem(), as_hmac.encode(), "sha256")
    bad = {
        "no signature": unsigned({"alg": "none"}, valid_claims(role="admin")) + ".",
        "signature left out": f"{head}.{body}.",
        "claims changed": f"{head}.{forged_claims}.{signature}",
        "signed with the public key": f"{as_hmac}.{urlsafe_b64encode(by_public_key).decode().rstrip('=')}",
        "another issuer's key": identified.token(identified.other_issuer, role="admin"),
        "another issuer": identified.token(iss="https://other.example", role="admin"),
        "another audience": identified.token(aud="another service", role="admin"),
        "expired": identified.token(iat=now - 700, exp=now - 100, role="admin"),
        "not yet": identified.token(nbf=now + 600, role="admin"),
        "without an end": identified.token(exp=None, role="admin"),
        "too long": identified.token(exp=now + 90_000, role="admin"),
        "rubbish": "eyJ.eyJ.x",
    }
    async with identified.rest() as rest:
        assert await statuses(rest, valid) == (200, 200)
        found = {why: await statuses(rest, token) for why, token in bad.items()}
    assert found == dict.fromkeys(bad, (401, 401))


async def test_claims_that_a_caller_sends_itself_are_not_believed(identified: Identified) -> None:
    claims = unsigned({}, valid_claims(role="admin")).split(".")[1]
    spoofed = {"x-tradingsignals-token": claims, "x-tradingsignals-certificate": "engine.desk.example,-"}
    for headers in (spoofed, {**spoofed, "authorization": "Bearer eyJ.eyJ.x"}):
        async with identified.rest() as rest:
            assert (await rest.get(HISTORY, headers=headers)).status_code == 401
        async with grpc.aio.insecure_channel(identified.service.stream_address) as channel:
            call = channel.unary_unary("/tradingsignals.v1.SignalService/ListSignals", None, None)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call(b"", metadata=tuple(headers.items()), timeout=DEADLINE)
            assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_stream_ends_when_its_token_expires(identified: Identified) -> None:
    root = identified.authority.own.path.read_bytes()
    address = f"localhost:{identified.service.port}"
    credentials = grpc.ssl_channel_credentials(root)
    for seconds in (4, 20, 80):  # for so long at most a machine may take to open the stream
        token = identified.token(exp=int(time.time()) + seconds)
        async with tradingsignals.connect(address, credentials=credentials, api_key=token) as client:
            stream = client.stream_events()
            try:
                await within(stream.__aenter__())
            except tradingsignals.AccessDenied:
                continue
            with pytest.raises(tradingsignals.AccessDenied, match="expired"):
                await within(stream.__anext__(), 2 * DEADLINE)
            return
    pytest.fail("no token lasted until the stream was open")


@pytest.mark.parametrize(
    ("client", "expected"), [("engine", (200, 200)), ("screen", (200, 403)), ("nobody", (403, 403)), (None, (401, 401))]
)
async def test_client_certificate_has_the_role_of_its_name(
    identified: Identified, client: str | None, expected: tuple[int, int]
) -> None:
    async with identified.rest(client) as rest:
        assert await statuses(rest) == expected


async def test_certificate_of_another_authority_is_refused(identified: Identified) -> None:
    async with identified.rest("stranger") as rest:
        with pytest.raises((httpx.HTTPError, ssl.SSLError)):
            await rest.get("/health")


async def test_port_speaks_nothing_but_tls(identified: Identified) -> None:
    async with httpx.AsyncClient(timeout=DEADLINE) as plain:
        with pytest.raises(httpx.HTTPError):
            await plain.get(f"http://127.0.0.1:{identified.service.port}/health")


async def test_new_certificate_is_served_without_a_restart(identified: Identified) -> None:
    pid = identified.service.child("envoy").pid
    second = identified.authority.certificate("second", "DNS:localhost", "DNS:second.example")
    for part, path in zip(("server.key", "server.pem"), (second.key, second.path), strict=True):
        os.replace(path, identified.served / part)  # noqa: PTH105 - one move, as Envoy watches for
    async with asyncio.timeout(DEADLINE):
        while "second.example" not in await _names(identified):
            await poll()
    assert identified.service.child("envoy").pid == pid


async def _names(identified: Identified) -> list[str]:
    """Return the names of the certificate that is served now."""
    _, writer = await asyncio.open_connection("localhost", identified.service.port, ssl=identified.context())
    certificate = writer.get_extra_info("peercert")
    writer.close()
    return [value for _, value in certificate["subjectAltName"]]
