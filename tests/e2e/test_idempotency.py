"""Idempotency keys: a call that is repeated with its key is done once, at any server, and through kill -9."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from signal import SIGKILL
from typing import Any, TypeVar

import asyncpg
import grpc
import httpx
import pytest
from google.protobuf.message_factory import GetMessageClass
from google.rpc.error_details_pb2 import BadRequest
from grpc_status import rpc_status
from tests.support.bars import messages
from tests.support.builders import walk
from tests.support.deadlines import DEADLINE, until, within
from tests.support.folders import scratch_folder
from tests.support.held_commits import commits_held_up
from tests.support.keys import created_key
from tests.support.processes import listener
from tests.support.service import RunningService, running_service

import tradingsignals
from tradingsignals.v1 import account_service_pb2, signal_service_pb2
from tradingsignals_server.api.contract import SERVICES, path_of
from tradingsignals_server.domain.bars import Bar
from tradingsignals_server.domain.buckets import bucket_of
from tradingsignals_server.domain.idempotency import KEYED_METHODS

EAGER = {"CONFIDENCE_THRESHOLD": "0.36", "ATR_MULTIPLIER_SL": "100", "ATR_MULTIPLIER_TP": "150"}
GENERATE = "/api/signals/generate"
GENERATE_PATH = "/tradingsignals.v1.SignalService/GenerateSignal"
HALT_PATH = "/tradingsignals.v1.AccountService/HaltTrading"
QUOTE = {"symbol": "USDCOP", "close_price": 4000.0}
_OWNER = "SELECT address FROM bucket_owners JOIN servers USING (server_id) WHERE bucket = $1"

T = TypeVar("T")
Act = Callable[[str, str], Coroutine[Any, Any, tuple[Any, bool]]]


def key(text: str) -> dict[str, str]:
    return {"idempotency-key": text}


async def call(address: str, path: str, request: Any, response: type[Any], sent: str) -> tuple[Any, bool]:
    """Call with a key by gRPC; return the response and whether it is said to be an earlier one."""
    async with grpc.aio.insecure_channel(address) as channel:
        method = channel.unary_unary(path, None, response.FromString)
        made = method(request.SerializeToString(), metadata=tuple(key(sent).items()), timeout=6 * DEADLINE)
        found = await made
        return found, dict(await made.initial_metadata()).get("idempotency-replayed") == "true"


async def generate(address: str, sent: str, symbol: str = "USDCOP") -> tuple[Any, bool]:
    request = signal_service_pb2.GenerateSignalRequest(symbol=symbol, close_price=4000.0)
    response, is_replayed = await call(address, GENERATE_PATH, request, signal_service_pb2.GenerateSignalResponse, sent)
    return response.signal, is_replayed


async def halt(address: str, sent: str, by: str = "ana") -> tuple[Any, bool]:
    request = account_service_pb2.HaltTradingRequest(reason="news", by=by)
    response, is_replayed = await call(address, HALT_PATH, request, account_service_pb2.HaltTradingResponse, sent)
    return response.trading, is_replayed


async def logged(service: RunningService, kind: str) -> int:
    async with service.database() as database:
        count: int = await database.fetchval("SELECT count(*) FROM events WHERE kind = $1", kind)
    return count


# ------------------------------------------------------------------------------------------------- one server


@pytest.mark.parametrize(("path", "body"), [(GENERATE, QUOTE), ("/api/signals/generate-from-db", {"symbol": "USDCOP"})])
async def test_signal_is_made_once_for_its_key(
    service: RunningService, rest: httpx.AsyncClient, path: str, body: dict[str, object]
) -> None:
    before = await logged(service, "SIGNAL")
    first, second = [await rest.post(path, json=body, headers=key(f"twice:{path}")) for _ in range(2)]
    assert first.raise_for_status().json() == second.raise_for_status().json()
    assert "idempotency-replayed" not in first.headers
    assert second.headers["idempotency-replayed"] == "true"
    assert await logged(service, "SIGNAL") == before + 1
    others = [await rest.post(path, json=body, headers=sent) for sent in ({}, {}, key(f"another:{path}"))]
    assert len({first.text, *(other.text for other in others)}) == 4


@pytest.mark.parametrize("port", ["address", "grpc_address", "stream_address"])
async def test_key_is_the_same_over_rest_and_grpc_at_every_port(
    service: RunningService, rest: httpx.AsyncClient, port: str
) -> None:
    first = (await rest.post(GENERATE, json=QUOTE, headers=key(f"over-{port}"))).raise_for_status()
    made, is_replayed = await generate(getattr(service, port), f"over-{port}")
    assert (made.signal_id, str(made.sequence)) == (
        first.json()["signal"]["signal_id"],
        first.json()["signal"]["sequence"],
    )
    assert is_replayed
    _, is_replayed = await generate(getattr(service, port), f"new-{port}")
    assert not is_replayed


async def test_other_request_with_the_key_is_unprocessable(service: RunningService, rest: httpx.AsyncClient) -> None:
    (await rest.post(GENERATE, json=QUOTE, headers=key("reused"))).raise_for_status()
    before = await logged(service, "SIGNAL"), await logged(service, "TRADING_CONTROL")
    for path, body in ((GENERATE, QUOTE | {"close_price": 4000.5}), ("/api/account/halt", {})):
        refused = await rest.post(path, json=body, headers=key("reused"))
        assert refused.status_code == 422, refused.text
        assert refused.json()["code"] == grpc.StatusCode.ALREADY_EXISTS.value[0]
        detail = refused.json()["details"][0]
        assert detail["reason"] == "IDEMPOTENCY_KEY_REUSED"
        assert detail["metadata"]["method"] == "tradingsignals.v1.SignalService.GenerateSignal"
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await halt(service.address, "reused")
    assert raised.value.code() is grpc.StatusCode.ALREADY_EXISTS
    assert (await logged(service, "SIGNAL"), await logged(service, "TRADING_CONTROL")) == before


async def test_conflict_of_a_bar_is_no_conflict_of_keys(rest: httpx.AsyncClient, known_bars: list[Bar]) -> None:
    bar = known_bars[0]
    body = {"time": bar.time.isoformat(), "symbol": bar.symbol, "open": 1, "high": 1, "low": 1, "close": 1, "volume": 0}
    assert (await rest.post("/api/market/bars", json=body, headers=key("bar"))).status_code == 409


async def test_failed_call_can_be_repeated_with_its_key(rest: httpx.AsyncClient) -> None:
    for price in (1e-10, 9e9):
        body = {"symbol": "USDCOP", "close_price": price}
        refused = [await rest.post(GENERATE, json=body, headers=key("failing")) for _ in range(2)]
        assert [one.status_code for one in refused] == [400] * 2
        assert "idempotency-replayed" not in refused[1].headers
    (await rest.post(GENERATE, json=QUOTE, headers=key("failing"))).raise_for_status()


async def test_twenty_calls_at_once_with_one_key_are_done_once(service: RunningService) -> None:
    before = await logged(service, "SIGNAL")
    ports = (service.address, service.grpc_address, service.stream_address, service.address)
    found = await within(asyncio.gather(*(generate(ports[n % 4], "at-once") for n in range(20))))
    assert len({(made.signal_id, made.sequence) for made, _ in found}) == 1
    assert Counter(is_replayed for _, is_replayed in found) == {True: 19, False: 1}
    assert await logged(service, "SIGNAL") == before + 1


async def test_methods_that_take_a_key_are_those_that_are_documented(service: RunningService) -> None:
    """They refuse what is no key, also with an empty request; all others ignore it."""
    refusing = set()
    async with grpc.aio.insecure_channel(service.address) as channel:
        for method in (each for one in SERVICES.values() for each in one.methods if not each.client_streaming):
            if method.server_streaming or method.name in {"ReloadModel", "GetPerformance"}:
                continue
            request = GetMessageClass(method.input_type)().SerializeToString()
            try:
                await channel.unary_unary(path_of(method), None, None)(
                    request, metadata=(("idempotency-key", "no key"),)
                )
            except grpc.aio.AioRpcError as error:
                if "idempotency-key" in fields_of(error):
                    refusing.add(method.full_name)
    assert refusing == KEYED_METHODS


def fields_of(error: grpc.aio.AioRpcError) -> set[str]:
    """Return the fields that an error is about."""
    status = rpc_status.from_call(error)  # type: ignore[arg-type]  # it has what is read of a call
    bad, found = BadRequest(), set()
    for detail in () if status is None else status.details:
        if detail.Unpack(bad):
            found |= {violation.field for violation in bad.field_violations}
    return found


# ------------------------------------------------------------------------------------- positions, halts, restarts


async def test_closed_halted_and_resumed_once_through_kill_9_until_the_keys_expire(folder: Path) -> None:
    async with running_service(folder, IDEMPOTENCY_SECONDS="3600", **EAGER) as service:
        async with service.client() as client, service.rest() as rest:
            await client.publish_bars(messages(walk(80, seed=13)))
            (held,) = (await rest.get("/api/signals/positions/active")).json()["positions"]
        calls = {
            "close": (f"/api/signals/positions/{held['position_id']}/close", {}),
            "generate": (GENERATE, QUOTE),
            "halt": ("/api/account/halt", {"reason": "news"}),
            "resume": ("/api/account/resume", {"by": "ana"}),
        }

        async def made() -> list[tuple[dict[str, Any], str | None]]:
            async with service.rest() as rest:
                found = [await rest.post(path, json=body, headers=key(name)) for name, (path, body) in calls.items()]
            return [(one.raise_for_status().json(), one.headers.get("idempotency-replayed")) for one in found]

        first = await made()
        assert [replayed for _, replayed in first] == [None] * 4
        assert first[0][0]["position"]["exit_reason"] == "MANUAL"
        entries = await newest(service)
        await service.kill_everything()
        await service.start()
        assert await made() == [(response, "true") for response, _ in first]
        assert await newest(service) == entries

        async with service.database() as database:  # as if all of that was an hour ago
            await database.execute("UPDATE idempotency_keys SET committed_at = committed_at - interval '3601 s'")
        await service.kill()
        await service.start()

        async def pruned() -> bool:
            async with service.database() as database:
                return not await database.fetchval("SELECT count(*) FROM idempotency_keys")

        await until(pruned)
        async with service.rest() as rest:
            closed = await rest.post(calls["close"][0], json={}, headers=key("close"))
            assert closed.json()["details"][0]["reason"] == "POSITION_CLOSED"
            again = (await rest.post(GENERATE, json=QUOTE, headers=key("generate"))).raise_for_status()
            assert again.json()["signal"]["signal_id"] != first[1][0]["signal"]["signal_id"]


async def newest(service: RunningService) -> int:
    async with service.database() as database:
        sequence: int = await database.fetchval(
            "SELECT max(sequence) FROM events WHERE kind IN ('SIGNAL', 'POSITION_UPDATE', 'TRADING_CONTROL')"
        )
    return sequence


# -------------------------------------------------------------------------------------------- two servers at once


@pytest.fixture(scope="module")
async def two_servers() -> AsyncIterator[RunningService]:
    with scratch_folder() as folder:
        async with running_service(folder, SERVERS="2", **EAGER) as service:
            async with service.database() as database:
                await until(lambda: addresses(database))
            yield service


async def addresses(database: asyncpg.Connection) -> list[str]:
    """Return the addresses of the two servers, none while there are others."""
    found = [row["address"] for row in await database.fetch("SELECT address FROM servers ORDER BY address")]
    return found if len(found) == 2 else []


async def test_signal_at_both_servers_is_made_once_by_the_owner_of_the_symbol(two_servers: RunningService) -> None:
    async with two_servers.database() as database:
        one, other = await addresses(database)
    before = await logged(two_servers, "SIGNAL")
    found = await within(asyncio.gather(*(generate((one, other)[n % 2], "both") for n in range(20))))
    assert len({(made.signal_id, made.sequence) for made, _ in found}) == 1
    assert Counter(is_replayed for _, is_replayed in found) == {True: 19, False: 1}
    again, is_replayed = await generate(two_servers.address, "both")
    assert (again, is_replayed) == (found[0][0], True)
    assert await logged(two_servers, "SIGNAL") == before + 1


async def test_halt_that_both_servers_are_committing_is_done_once(two_servers: RunningService) -> None:
    before = await logged(two_servers, "TRADING_CONTROL")
    async with two_servers.database() as database:
        one, other = await addresses(database)
        async with commits_held_up(database) as waiting:
            calls = [asyncio.create_task(halt(address, "race")) for address in (one, other)]
            await until(lambda: waiting(2))
        found = await within(asyncio.gather(*calls))
    assert found[0][0] == found[1][0]
    assert Counter(is_replayed for _, is_replayed in found) == {True: 1, False: 1}
    assert await logged(two_servers, "TRADING_CONTROL") == before + 1


async def test_of_different_requests_with_one_key_at_both_servers_one_is_done(two_servers: RunningService) -> None:
    """Each is sent to both. The one that is committed first succeeds everywhere, the other is refused everywhere."""
    rounds = 30
    before = await logged(two_servers, "TRADING_CONTROL")
    async with two_servers.database() as database:
        one, other = await addresses(database)
        for number in range(rounds):
            async with commits_held_up(database) as waiting:
                sent = [(one, "ana"), (other, "bob"), (other, "ana"), (one, "bob")]
                calls = [asyncio.create_task(halt(at, f"differs-{number}", by)) for at, by in sent]
                await until(lambda: waiting(2))
            found = await within(asyncio.gather(*calls, return_exceptions=True))
            done = {by for (_, by), each in zip(sent, found, strict=True) if isinstance(each, tuple)}
            refused = {by for (_, by), each in zip(sent, found, strict=True) if isinstance(each, grpc.aio.AioRpcError)}
            assert (len(done), len(refused), done & refused) == (1, 1, set()), found
            assert Counter(each[1] for each in found if isinstance(each, tuple)) == {True: 1, False: 1}
            codes = {each.code() for each in found if isinstance(each, grpc.aio.AioRpcError)}
            assert codes == {grpc.StatusCode.ALREADY_EXISTS}
    assert await logged(two_servers, "TRADING_CONTROL") == before + rounds


@pytest.mark.parametrize("act", [generate, halt])
async def test_response_lost_by_kill_9_between_commit_and_response_is_had_from_the_other_server(
    two_servers: RunningService, act: Act
) -> None:
    kind, sent = ("SIGNAL" if act is generate else "TRADING_CONTROL"), f"killed-{act.__name__}"
    async with two_servers.database() as database:
        await repeated(generate, (await until(lambda: addresses(database)))[0], f"before-{act.__name__}")
        at = await database.fetchval(_OWNER, bucket_of("USDCOP"))
        before = await logged(two_servers, kind)
        async with commits_held_up(database) as waiting:
            lost = asyncio.create_task(act(at, sent))
            await until(lambda: waiting(1))
            os.kill(listener(at), SIGKILL)
            with pytest.raises(grpc.aio.AioRpcError):
                await within(lost)
        assert await until(lambda: database.fetchval("SELECT 1 FROM idempotency_keys WHERE key = $1", sent))
        found = await until(lambda: addresses(database))
    responses = [await repeated(act, address, sent) for address in (*found, two_servers.address)]
    assert [is_replayed for _, is_replayed in responses] == [True] * 3
    assert len({made.SerializeToString(deterministic=True) for made, _ in responses}) == 1
    assert await logged(two_servers, kind) == before + 1


async def test_client_repeats_its_call_with_its_key_through_kill_9_of_all_servers(two_servers: RunningService) -> None:
    before = await logged(two_servers, "TRADING_CONTROL")
    async with (
        two_servers.database() as database,
        tradingsignals.connect(two_servers.address, timeout=6 * DEADLINE) as client,
    ):
        found = await until(lambda: addresses(database))
        async with commits_held_up(database) as waiting:
            halting = asyncio.create_task(client.halt_trading("news", by="client"))
            await until(lambda: waiting(1))
            for address in found:
                os.kill(listener(address), SIGKILL)
        assert (await halting).halted
    assert await logged(two_servers, "TRADING_CONTROL") == before + 1


async def repeated(act: Act, address: str, sent: str) -> tuple[Any, bool]:
    """Call until the service is available again."""

    async def attempt() -> tuple[Any, bool] | None:
        try:
            return await act(address, sent)
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.UNAVAILABLE:
                raise
            return None

    found = await until(attempt)
    assert found is not None
    return found


# --------------------------------------------------------------------------------------------------- identities


async def test_callers_with_credentials_have_keys_of_their_own() -> None:
    with scratch_folder() as folder:
        async with running_service(folder, AUTH="on") as service:
            tokens = [await created_key(service, "trader") for _ in range(2)]
            found = []
            async with service.rest() as rest:
                for token in (*tokens, *tokens):
                    response = await rest.post(
                        GENERATE, json=QUOTE, headers=key("k") | {"authorization": f"Bearer {token}"}
                    )
                    found.append(response.raise_for_status().json()["signal"]["signal_id"])
            assert (found[:2], len({*found})) == (found[2:], 2)
            async with service.database() as database:
                callers = [row["caller"] for row in await database.fetch("SELECT caller FROM idempotency_keys")]
            assert sorted(callers) == sorted(f"key:{token.split('_')[1]}" for token in tokens)
