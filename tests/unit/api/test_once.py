"""What a caller has sent becomes the key of a call: valid, of this caller, and of this request."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest

from tradingsignals.v1.account_service_pb2 import HaltTradingRequest, ResumeTradingRequest
from tradingsignals.v1.signal_service_pb2 import GenerateSignalRequest
from tradingsignals_server.api.once import RunOnce
from tradingsignals_server.application.access.current import current_caller
from tradingsignals_server.application.ingest.once import Done, Once
from tradingsignals_server.application.ports.idempotency import CallKey, KeyedRequest
from tradingsignals_server.domain.access import Caller, Credential, Role
from tradingsignals_server.domain.errors import InvalidRequest
from tradingsignals_server.domain.idempotency import KEYED_METHODS
from tradingsignals_server.transport.grpc.metadata import (
    forwarded,
    forwarded_caller,
    idempotency_key,
    response_metadata,
)


class Recording:
    """Runs calls, and records their keys."""

    def __init__(self, *, is_replayed: bool = False) -> None:
        self.keys: list[KeyedRequest] = []
        self._is_replayed = is_replayed

    async def run(self, key: CallKey[bytes], call: Callable[[], Awaitable[bytes]]) -> Done:
        """See Once."""
        self.keys.append(key.request)
        return Done(key.encode(await call()), self._is_replayed)


@contextmanager
def sent(key: str | None, caller: Caller | None = None, forwarded_for: str | None = None) -> Iterator[None]:
    """Serve a call with these headers."""
    variables: list[tuple[Any, object]] = [(idempotency_key, key), (current_caller, caller or Caller())]
    if forwarded_for is not None:
        variables += [(forwarded, True), (forwarded_caller, forwarded_for)]
    tokens = [(variable, variable.set(value)) for variable, value in variables]
    yield
    for variable, token in tokens:
        variable.reset(token)


async def run(recording: Recording, request: Any = None) -> bytes:
    async def call(key: CallKey[bytes] | None) -> bytes:
        return b"with a key" if key is not None else b"without"

    run_once = RunOnce(cast(Once, recording))
    return await run_once(request or HaltTradingRequest(reason="news"), lambda result: b"<" + result, call)


async def test_call_without_a_key_is_run_as_it_is() -> None:
    recording = Recording()
    with sent(None):
        assert await run(recording) == b"<without"
    assert recording.keys == []


async def test_call_with_a_key_is_that_of_its_caller_and_request() -> None:
    recording = Recording()
    trader = Caller(Credential.KEY, "abc", "engine", Role.TRADER, "192.0.2.1")
    requests = [HaltTradingRequest(reason="news"), HaltTradingRequest(reason="noise"), ResumeTradingRequest()]
    for request in (*requests, requests[0]):
        with sent("k", trader):
            assert await run(recording, request) == b"<with a key"
    halt, other, resume, again = recording.keys
    assert halt == again
    assert (halt.caller, halt.key, halt.method) == ("key:abc", "k", "tradingsignals.v1.AccountService.HaltTrading")
    assert (other.method == halt.method, other.request_hash == halt.request_hash) == (True, False)
    assert resume.method == "tradingsignals.v1.AccountService.ResumeTrading"
    assert {halt.method, resume.method} <= KEYED_METHODS


@pytest.mark.parametrize(
    ("caller", "identity"),
    [
        (Caller(address="192.0.2.1", role=Role.ADMIN), "none:"),
        (Caller(Credential.TOKEN, "josé@desk"), "token:jos%C3%A9@desk"),
        (Caller(Credential.CERTIFICATE, "spiffe://desk/engine"), "certificate:spiffe://desk/engine"),
    ],
)
async def test_caller_is_its_identity_wherever_it_calls_from(caller: Caller, identity: str) -> None:
    recording = Recording()
    with sent("k", caller):
        await run(recording)
    assert recording.keys[0].caller == identity


async def test_forwarded_call_is_that_of_the_caller_of_the_other_server() -> None:
    recording = Recording()
    with sent("k", forwarded_for="key:abc"):
        await run(recording)
    with sent("k", Caller(Credential.KEY, "abc")):
        await run(recording)
    first, second = recording.keys
    assert first == second


@pytest.mark.parametrize("key", ["", "a b", "a,b", "tab\t", "ü", "x" * 129, "\x7f"])
async def test_key_that_is_none_is_refused_by_name(key: str) -> None:
    recording = Recording()
    with sent(key), pytest.raises(InvalidRequest) as refused:
        await run(recording)
    assert [violation.field for violation in refused.value.violations] == ["idempotency-key"]
    assert recording.keys == []


@pytest.mark.parametrize("key", ["!", "~" * 128, '"8e03978e-40d5-43dd-bc93-6894a57f9324"'])
async def test_any_visible_ascii_is_a_key(key: str) -> None:
    recording = Recording()
    with sent(key):
        await run(recording, GenerateSignalRequest(close_price=1.0))
    assert recording.keys[0].key == key


@pytest.mark.parametrize("is_replayed", [False, True])
async def test_response_says_whether_it_is_an_earlier_one(*, is_replayed: bool) -> None:
    async def in_a_task_of_its_own() -> list[tuple[str, str]]:
        with sent("k"):
            await run(Recording(is_replayed=is_replayed))
        return list(response_metadata.get())

    metadata = await asyncio.create_task(in_a_task_of_its_own())
    assert metadata == ([("idempotency-replayed", "true")] if is_replayed else [])
