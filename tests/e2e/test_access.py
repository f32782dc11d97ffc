"""Access through the real edge and past it: every RPC and REST path, by every role, with credentials in every state."""

from __future__ import annotations

import asyncio
import json
import os
import pwd
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import grpc
import httpx
import pytest
import yaml
from google.api import annotations_pb2
from google.protobuf.descriptor import MethodDescriptor
from tests.support.browser import CHROMIUM
from tests.support.chromium import chromium
from tests.support.commands import run
from tests.support.deadlines import DEADLINE, poll, within
from tests.support.folders import scratch_folder
from tests.support.keys import GuardedService, guarded_service, known
from tests.support.processes import with_command
from tests.support.service import running_service

import tradingsignals
from tradingsignals_server.api.contract import SERVICES, path_of
from tradingsignals_server.api.streams import EPOCH_KEY
from tradingsignals_server.domain.access import Role

TABLE = yaml.safe_load((Path(__file__).parents[2] / "protos/access.yaml").read_text("utf-8"))["methods"]
RULES = {f"/{service}/{name}": rule for service, rules in TABLE.items() for name, rule in rules.items()}
ROLES_OF = {
    "public": {"viewer", "publisher", "trader", "admin"},
    "viewer": {"viewer", "publisher", "trader", "admin"},
    "publisher": {"publisher", "admin"},
    "trader": {"trader", "admin"},
    "admin": {"admin"},
}
ROLES = {role.value for role in Role}
ELSEWHERE = "203.0.113.0/24"
FORGED = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJtYWxsb3J5Iiwicm9sZSI6ImFkbWluIn0."
OTHERS = (
    "/grpc.health.v1.Health/Check",
    "/grpc.health.v1.Health/Watch",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
)
METHODS = [method for service in SERVICES.values() for method in service.methods]
AT_ONCE = 16
"""Calls under way at a time."""
WITHIN = 4 * DEADLINE
"""Deadline of hundreds of calls, some of which start a process."""


@dataclass(frozen=True)
class Guarded(GuardedService):
    """A service that wants credentials, and an API key of each kind: by role, and by what is wrong with it."""

    keys: Mapping[str, str]

    async def command(self, *arguments: str) -> str:
        """Run `tradingsignals keys` on its database, and return the output."""
        ended = await run("keys", *arguments, DATA_DIR=str(self.service.data_dir), FEED="push")
        assert ended.code == 0, ended.output
        return ended.output


@pytest.fixture(scope="module")
async def guarded() -> AsyncIterator[Guarded]:
    """A service with AUTH=on."""
    with scratch_folder() as folder:
        async with guarded_service(folder) as guarded, guarded.service.database() as database:
            service, made = guarded.service, guarded.made
            keys = {role.value: (await made.create(role, role, None, [])).text for role in Role}
            for state, networks in (("revoked", []), ("expired", []), ("elsewhere", [ELSEWHERE])):
                keys[state] = (await made.create(state, Role.ADMIN, None, networks)).text
            await made.revoke(id_of(keys["revoked"]))
            await database.execute("UPDATE api_keys SET expires_at = now() WHERE name = 'expired'")
            keys |= {"none": "", "forged": FORGED, "unknown": keys["admin"][:-1] + other_than(keys["admin"][-1])}
            await known(service, keys["expired"], 401)
            yield Guarded(service, made, keys)


def id_of(key: str) -> str:
    return key.split("_")[1]


def other_than(character: str) -> str:
    return "A" if character != "A" else "B"


def rest_calls(method: MethodDescriptor) -> list[tuple[str, str]]:
    """Return the HTTP methods and paths of a method, with some value for what is part of a path."""
    rule = method.GetOptions().Extensions[annotations_pb2.http]
    found = []
    for binding in (rule, *rule.additional_bindings):
        verb = binding.WhichOneof("pattern")
        if verb is not None:
            path = re.sub(r"{\w+}", "9b2f1c1e-0000-4000-8000-000000000000", getattr(binding, verb))
            found.append((verb.upper(), path))
    return found


async def rest_status(rest: httpx.AsyncClient, verb: str, path: str, key: str, *, in_bearer: bool) -> int:
    headers = {} if not key else {"authorization": f"Bearer {key}"} if in_bearer else {"x-api-key": key}
    body = b"{}" if verb == "POST" else None
    async with rest.stream(verb, path, headers=headers, content=body) as response:  # a stream has no end to wait for
        return response.status_code


async def grpc_code(channel: grpc.aio.Channel, path: str, key: str) -> grpc.StatusCode:
    """Return the status of a call with an empty message; OK if it is a stream that began."""
    metadata = (("authorization", f"Bearer {key}"),) if key else ()
    while True:
        call = channel.stream_stream(path, None, None)(None, metadata=metadata, timeout=DEADLINE)
        try:
            await call.write(b"")
            await call.done_writing()
            if EPOCH_KEY in dict(await call.initial_metadata() or ()):
                return grpc.StatusCode.OK  # a stream that has begun
            if await call.read() is not grpc.aio.EOF and path.endswith("/Watch"):  # type: ignore[attr-defined]
                return grpc.StatusCode.OK
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            pass
        finally:
            call.cancel()
        # gRPC's client loses the status of a call that ends while it is written to.
        if "Internal error from Core" not in (await call.details() or ""):
            return await call.code()


def expected(rule: str, who: str) -> str:
    """Return what a call of a rule comes to: served, unknown or forbidden."""
    if rule == "public":
        return "served"
    if who in ROLES:
        return "served" if who in ROLES_OF[rule] else "forbidden"
    return "forbidden" if who == "elsewhere" else "unknown"


REST_MEANING = {401: "unknown", 403: "forbidden"}
GRPC_MEANING = {grpc.StatusCode.UNAUTHENTICATED: "unknown", grpc.StatusCode.PERMISSION_DENIED: "forbidden"}


async def test_each_rest_path_is_for_the_roles_of_its_rule(guarded: Guarded) -> None:
    turns = asyncio.Semaphore(AT_ONCE)
    async with guarded.service.rest() as rest:

        async def found(method: MethodDescriptor, verb: str, path: str, who: str) -> tuple[str, str, str, str]:
            async with turns:
                status = await rest_status(rest, verb, path, guarded.keys[who], in_bearer=len(path) % 2 == 0)
            return verb, path, who, REST_MEANING.get(status, "served")

        calls = [(method, *call) for method in METHODS for call in rest_calls(method)]
        results = await within(asyncio.gather(*(found(*call, who) for call in calls for who in guarded.keys)), WITHIN)
    wanted = {
        (verb, path, who): expected(RULES[path_of(method)], who) for method, verb, path in calls for who in guarded.keys
    }
    assert {(verb, path, who): result for verb, path, who, result in results} == wanted


@pytest.mark.parametrize("port", ["edge", "grpc"])
async def test_each_rpc_is_for_the_roles_of_its_rule(guarded: Guarded, port: str) -> None:
    address = guarded.service.address if port == "edge" else guarded.service.grpc_address
    turns = asyncio.Semaphore(AT_ONCE)
    async with grpc.aio.insecure_channel(address) as channel:

        async def found(path: str, who: str) -> tuple[tuple[str, str], str]:
            async with turns:
                code = await grpc_code(channel, path, guarded.keys[who])
            return (path, who), GRPC_MEANING.get(code, "served")

        paths = [*map(path_of, METHODS), *OTHERS]
        pairs = [(path, who) for path in paths for who in guarded.keys]
        results = dict(await within(asyncio.gather(*(found(*pair) for pair in pairs)), WITHIN))
    assert results == {(path, who): expected(RULES[path], who) for path, who in pairs}


async def test_refusal_says_why_and_what_to_send(guarded: Guarded) -> None:
    async with guarded.service.rest() as rest:
        missing = await rest.get("/api/signals/history")
        wrong = await rest.post(
            "/api/signals/model/reload", content=b"{}", headers={"x-api-key": guarded.keys["viewer"]}
        )
    assert missing.headers["www-authenticate"] == "Bearer"
    assert missing.json()["details"][0]["reason"] == "UNAUTHENTICATED"
    assert wrong.json()["details"][0]["reason"] == "ROLE_NOT_ALLOWED"
    assert {**wrong.json()["details"][0]["metadata"], "request_id": ""} == {
        "role": "viewer",
        "needed": "admin",
        "request_id": "",
    }


@pytest.mark.parametrize("who", sorted(ROLES))
async def test_caller_gets_its_role_and_the_methods_of_the_table_that_it_may_call(guarded: Guarded, who: str) -> None:
    async with guarded.service.rest() as rest:
        found = (await rest.get("/api/access/caller", headers={"x-api-key": guarded.keys[who]})).json()
    public = {path_of(method) for method in METHODS}
    allowed = sorted(path[1:] for path in public if who in ROLES_OF[RULES[path]])
    assert found == {
        "caller": {
            "credential": "key",
            "caller_id": id_of(guarded.keys[who]),
            "name": who,
            "role": who.upper(),
            "methods": allowed,
        },
        "authentication": True,
    }


async def test_pages_documents_and_health_need_no_key(guarded: Guarded) -> None:
    async with guarded.service.rest() as rest:
        for path in ("/docs", "/openapi.json", "/health", "/api/signals/health"):
            assert (await rest.get(path)).status_code == 200, path
        assert (await rest.get("/", headers={"accept": "text/html"})).status_code == 200


async def test_address_that_a_caller_claims_is_not_believed(guarded: Guarded) -> None:
    inside = "203.0.113.9"
    names = (
        "x-tradingsignals-address",
        "x-forwarded-for",
        "x-real-ip",
        "x-envoy-external-address",
        "x-client-id",
        "forwarded",
    )
    spoofed = dict.fromkeys(names, inside) | {"x-tradingsignals-edge": "guessed", "x-tradingsignals-peer": "guessed"}
    headers = {"x-api-key": guarded.keys["elsewhere"], **spoofed}
    async with guarded.service.rest() as rest:
        assert (await rest.get("/api/signals/history", headers=headers)).status_code == 403
    path = "/tradingsignals.v1.SignalService/ListSignals"
    for address in (guarded.service.grpc_address, guarded.service.stream_address):
        async with grpc.aio.insecure_channel(address) as channel:
            metadata = tuple((name, value) for name, value in headers.items() if name != "x-tradingsignals-peer")
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await channel.unary_unary(path, None, None)(b"", metadata=metadata, timeout=DEADLINE)
            assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED


async def test_keys_are_made_listed_and_revoked_by_the_command_line(guarded: Guarded) -> None:
    made = await guarded.command("create", "--name", "by command", "--role", "viewer", "--days", "1")
    key = made.splitlines()[-1]
    await known(guarded.service, key, 200)
    assert await guarded.command("revoke", id_of(key)) == f"revoked {id_of(key)} (by command)\n"
    await known(guarded.service, key, 401)
    (line,) = [line for line in (await guarded.command("list")).splitlines() if line.startswith(id_of(key))]
    assert line.split()[1:3] == ["viewer", "revoked"]
    assert key[18:] not in line
    user = pwd.getpwuid(os.getuid()).pw_name
    async with guarded.service.rest() as rest:
        listed = await rest.get(f"/api/access/audit?caller_id={user}", headers={"x-api-key": guarded.keys["admin"]})
    revoked, created = listed.json()["entries"][:2]
    assert [entry["method"].rpartition("/")[2] for entry in (revoked, created)] == ["RevokeKey", "CreateKey"]
    assert (created["credential"], created["caller_name"]) == ("command", "tradingsignals keys")
    request = {name: value for name, value in json.loads(created["request"]).items() if name != "expires_at"}
    assert request == {"name": "by command", "role": "VIEWER"}
    assert json.loads(revoked["request"]) == {"key_id": id_of(key)}
    assert key[18:] not in listed.text


async def test_streams_of_a_revoked_key_end(guarded: Guarded) -> None:
    new = await guarded.key(name="follower")
    async with tradingsignals.connect(guarded.service.address, api_key=new.text) as client:
        async with client.stream_signals() as signals, client.stream_events() as events:
            await guarded.made.revoke(new.key.id)
            for stream in (signals, events):
                with pytest.raises(tradingsignals.AccessDenied, match="revoked"):
                    await within(stream.__anext__())
        with pytest.raises(tradingsignals.AccessDenied, match="revoked"):
            await client.latest_signal("USDCOP")


async def text_of_revoked_stream(guarded: Guarded, method: str, path: str, accept: str, body: bytes | None) -> bytes:
    """Return what a REST stream sends whose key is revoked once it has begun."""
    new = await guarded.key(Role.TRADER, "reader")
    headers = {"x-api-key": new.text, "accept": accept, "content-type": "application/json"}
    received = b""
    async with (
        guarded.service.rest() as rest,
        rest.stream(method, path, headers=headers, content=body) as response,
        asyncio.timeout(DEADLINE),
    ):
        assert response.status_code == 200
        async for part in response.aiter_bytes():
            if not received:
                await guarded.made.revoke(new.key.id)
            received += part
    return received


@pytest.mark.parametrize("accept", ["text/event-stream", "application/x-ndjson"])
@pytest.mark.parametrize("path", ["/api/events", "/api/signals/stream", "/api/signals/positions/stream"])
async def test_rest_streams_of_a_revoked_key_end_with_the_error(guarded: Guarded, accept: str, path: str) -> None:
    received = await text_of_revoked_stream(guarded, "GET", path, accept, None)
    *_, last = received.decode().rstrip().splitlines()
    message = json.loads(last.removeprefix("data: "))
    error = message["events"][0]["error"] if path == "/api/events" else message["error"]
    assert (error["reason"], error["retryable"]) == ("UNAUTHENTICATED", False)
    assert "revoked" in error["message"]


async def test_key_is_in_no_log_and_no_list_of_processes(guarded: Guarded) -> None:
    secret = guarded.keys["admin"][18:]
    async with guarded.service.rest() as rest:
        await rest.get("/api/signals/history", headers={"x-api-key": guarded.keys["admin"] + "x"})
    assert secret not in guarded.service.log
    assert with_command(guarded.service.processes(), secret) == []


@pytest.mark.parametrize("name", ["SIGNAL_SERVICE_HOST", "GRPC_HOST"])
async def test_listening_beyond_this_machine_without_protection_is_refused(folder: Path, name: str) -> None:
    ended = await run("up", **{name: "0.0.0.0", "DATA_DIR": str(folder)})  # noqa: S104 - it is refused
    assert ended.code == 1
    (line,) = ended.output.splitlines()
    assert line.startswith(f"tradingsignals: {name}=0.0.0.0 listens beyond this machine, where AUTH=off")


async def test_health_says_that_everyone_may_do_everything(folder: Path) -> None:
    everywhere = {"SIGNAL_SERVICE_HOST": "0.0.0.0", "ALLOW_INSECURE": "1"}  # noqa: S104 - for a second, in a test
    async with running_service(folder, **everywhere) as service, service.rest() as rest:
        health = (await rest.get("/health")).json()
    assert health["status"] == "degraded"
    assert health["warnings"][0].startswith("SIGNAL_SERVICE_HOST=0.0.0.0 listens beyond this machine")


async def test_audit_log_has_what_callers_did_and_were_refused(guarded: Guarded) -> None:
    new = await guarded.key(Role.TRADER, "auditor")
    quote = {"symbol": "AUDITCOP", "close_price": 4000.5}
    admin = {"x-api-key": guarded.keys["admin"]}
    async with guarded.service.rest() as rest:
        headers = {"x-api-key": new.text, "x-request-id": "audited-call", "idempotency-key": "audited"}
        for _ in range(2):
            assert (await rest.post("/api/signals/generate", json=quote, headers=headers)).status_code == 200
        assert (await rest.post("/api/signals/model/reload", content=b"{}", headers=headers)).status_code == 403
        path = f"/api/access/audit?caller_id={new.key.id}"
        async with asyncio.timeout(DEADLINE):
            while len(entries := (await rest.get(path, headers=admin)).json()["entries"]) < 3:
                await poll()
        refused = (await rest.get(f"{path}&refused=true&limit=1", headers=admin)).json()["entries"]
    by_result = {entry["result"]: entry for entry in entries}
    done = by_result["OK"]
    assert [entry["replayed"] for entry in entries if entry["result"] == "OK"] == [True, False], "the newest first"
    assert (done["method"], json.loads(done["request"])) == ("tradingsignals.v1.SignalService/GenerateSignal", quote)
    names = ("caller_name", "role", "address", "request_id", "count")
    assert [done[name] for name in names] == ["auditor", "trader", "127.0.0.1", "audited-call", 1]
    assert refused == [by_result["PERMISSION_DENIED"]]
    assert refused[0]["method"] == "tradingsignals.v1.ModelService/ReloadModel"
    assert new.text[18:] not in json.dumps(entries)


async def beyond_limit(rest: httpx.AsyncClient, key: str) -> httpx.Response:
    """Call until the limit is reached, many times at once: a slow machine may make 5 calls a second one by one."""
    while True:
        calls = (rest.get("/api/signals/history", headers={"x-api-key": key}) for _ in range(20))
        for response in await asyncio.gather(*calls):
            if response.status_code == 429:
                return response


async def test_caller_beyond_its_limits_is_told_when_to_try_again(folder: Path) -> None:
    limits = {"RATE_LIMITS": "viewer=5,*=1000", "MAX_STREAMS_PER_CALLER": "2"}
    async with guarded_service(folder, **limits) as guarded:
        service, admin = guarded.service, (await guarded.key(Role.ADMIN)).text
        viewer = (await guarded.key()).text
        async with service.rest() as rest:
            refused = await within(beyond_limit(rest, viewer))
            assert int(refused.headers["retry-after"]) >= 1
            assert refused.json()["details"][0]["reason"] == "RATE_LIMITED"
            assert (await rest.get("/api/signals/history", headers={"x-api-key": admin})).status_code == 200
        async with tradingsignals.connect(service.address, api_key=admin) as client:
            async with client.stream_events(), client.stream_signals():
                with pytest.raises(tradingsignals.Overloaded, match="TOO_MANY_STREAMS"):
                    async with client.stream_positions():
                        pass
            async with asyncio.timeout(DEADLINE):
                while True:  # the service learns of the end of a stream a little later
                    try:
                        async with client.stream_positions():
                            break
                    except tradingsignals.Overloaded:
                        await poll()


TRICKS = (
    *("//api/signals/history", "/api//signals/history", "/api/signals/history/", "/api/signals/./history"),
    *("/docs/../api/signals/history", "/docs/%2e%2e/api/signals/history", "/docs/..%2fapi/signals/history"),
    *("/health/../api/signals/history", "/health;/api/signals/history", "/health%00/api/signals/history"),
    *("/api/signals/history%3f", "/api/signals/history?x-api-key=KEY", "/api/signals/history?api_key=KEY"),
    *(
        "/API/signals/history",
        "/api/signals/%68istory",
        "/api/signals/history#",
        "/openapi.json/../api/signals/history",
    ),
    *("/tradingsignals.v1.SignalService/ListSignals", "/tradingsignals.edge.v1.JsonService/ListSignals"),
    *(
        "/tradingsignals.peer.v1.PeerService/ProcessBars",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    ),
)


async def test_no_form_of_a_path_reaches_data_without_a_key(guarded: Guarded) -> None:
    async def response_to(verb: str, path: str) -> bytes:
        sent = path.replace("KEY", guarded.keys["admin"])
        reader, writer = await asyncio.open_connection("127.0.0.1", guarded.service.port)
        writer.write(f"{verb} {sent} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n".encode())
        response = await within(reader.read())
        writer.close()
        return response

    calls = [(verb, path) for path in TRICKS for verb in ("GET", "HEAD", "POST", "OPTIONS", "TRACE")]
    responses = await asyncio.gather(*(response_to(*call) for call in calls))
    reached = [
        (*call, response[:200])
        for call, response in zip(calls, responses, strict=True)
        if not response or response.startswith(b"HTTP/1.1 200") or b'"signals"' in response
    ]
    assert reached == []
    assert guarded.keys["admin"][18:] not in guarded.service.log


@pytest.mark.parametrize("size", [6_000, 7_000, 30_000, 100_000])
async def test_credentials_of_any_size_are_refused_in_the_form_of_all_errors(guarded: Guarded, size: int) -> None:
    async with guarded.service.rest() as rest:
        response = await rest.get("/api/signals/history", headers={"authorization": "Bearer " + "x" * size})
    assert response.status_code in {401, 431}
    assert response.headers.get("content-type", "application/json") == "application/json"
    async with grpc.aio.insecure_channel(guarded.service.stream_address) as channel:
        call = channel.unary_unary("/tradingsignals.v1.SignalService/ListSignals", None, None)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(b"", metadata=(("authorization", "Bearer " + "x" * size),), timeout=DEADLINE)
        refusals = {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE}
        assert caught.value.code() in refusals


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")
async def test_dashboard_asks_for_a_key_and_keeps_it_in_its_tab(guarded: Guarded, tmp_path: Path) -> None:
    async with chromium(tmp_path) as tab:
        await tab.show(f"http://{guarded.service.address}/")
        assert await tab.shows("document.querySelector('#api-key')")
        assert not await tab.run("document.querySelector('#main')")
        await tab.run(_TYPED % json.dumps(guarded.keys["revoked"]))
        assert await tab.shows("document.querySelector('[role=alert]')?.textContent.includes('revoked')")
        await tab.run(_TYPED % json.dumps(guarded.keys["viewer"]))
        assert await tab.shows("document.querySelector('#main')")
        for path in ("/docs", "/"):
            await tab.show(f"http://{guarded.service.address}{path}")
        assert await tab.shows("document.querySelector('#main')")


_TYPED = """(() => {
  const input = document.querySelector("#api-key");
  input.value = %s;
  input.dispatchEvent(new Event("input", { bubbles: true }));
  requestAnimationFrame(() => input.form.requestSubmit());
  return true;
})()"""
