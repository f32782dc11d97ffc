"""Calls that act have an idempotency key, and are repeated with it while the service is unavailable."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import grpc
import pytest
from tests.support.deadlines import DEADLINE

import tradingsignals
from tradingsignals import Overloaded, Position, Signal, TemporaryError
from tradingsignals.errors import Unavailable
from tradingsignals.v1 import account_service_pb2 as accounts
from tradingsignals.v1 import position_service_pb2 as positions
from tradingsignals.v1 import signal_service_pb2 as signals
from tradingsignals.v1.account_pb2 import Trading

UNAVAILABLE = grpc.StatusCode.UNAVAILABLE
SIGNAL, POSITION, TRADING = Signal(signal_id="a"), Position(position_id="p"), Trading(halted=True)

CALLS: list[tuple[str, tuple[Any, ...], Any]] = [
    ("generate_signal", (4000.0,), SIGNAL),
    ("generate_signal_from_db", (), SIGNAL),
    ("close_position", ("p",), POSITION),
    ("halt_trading", ("news",), TRADING),
    ("resume_trading", (), TRADING),
]


@pytest.fixture(autouse=True)
def _responses(script: Any) -> None:
    script.responses = {
        "GenerateSignal": lambda _: signals.GenerateSignalResponse(signal=SIGNAL),
        "GenerateSignalFromDb": lambda _: signals.GenerateSignalFromDbResponse(signal=SIGNAL),
        "ClosePosition": lambda _: positions.ClosePositionResponse(position=POSITION),
        "HaltTrading": lambda _: accounts.HaltTradingResponse(trading=TRADING),
        "ResumeTrading": lambda _: accounts.ResumeTradingResponse(trading=TRADING),
        "GetStatistics": lambda _: signals.GetStatisticsResponse(),
    }


@pytest.mark.parametrize(("method", "arguments", "found"), CALLS)
async def test_attempts_of_a_call_have_one_key_and_those_of_another_call_another(
    client: Any, script: Any, method: str, arguments: tuple[Any, ...], found: Any
) -> None:
    script.failures.extend([UNAVAILABLE, UNAVAILABLE])
    assert await client.call(method, *arguments) == found
    assert await client.call(method, *arguments) == found
    first, *others, next_call = script.keys
    assert others == [first, first]
    assert UUID(first) != UUID(next_call)
    assert all(request == script.requests[0] for request in script.requests)


@pytest.mark.parametrize(("method", "arguments", "found"), CALLS)
async def test_key_that_is_given_is_sent(
    client: Any, script: Any, method: str, arguments: tuple[Any, ...], found: Any
) -> None:
    script.failures.append(UNAVAILABLE)
    assert await client.call(method, *arguments, idempotency_key="mine") == found
    assert script.keys == ["mine", "mine"]


async def test_other_errors_are_raised_at_once(client: Any, script: Any) -> None:
    script.failures.append(grpc.StatusCode.RESOURCE_EXHAUSTED)
    with pytest.raises((Overloaded, tradingsignals.TooLarge)):
        await client.call("halt_trading")
    script.failures.append(grpc.StatusCode.FAILED_PRECONDITION)
    with pytest.raises(tradingsignals.FailedPrecondition):
        await client.call("resume_trading")
    assert len(script.keys) == 2


async def test_calls_that_do_not_act_have_no_key_and_are_not_repeated(client: Any, script: Any) -> None:
    script.failures.append(UNAVAILABLE)
    with pytest.raises(Unavailable):
        await client.call("statistics")
    assert script.keys == [None]


async def test_attempts_end_with_the_timeout_of_the_call(script: Any) -> None:
    script.failure_code = UNAVAILABLE
    timeout = 0.5
    while len(script.keys) < 2:  # on a busy machine a second attempt may take longer
        assert timeout < DEADLINE
        script.keys.clear()
        async with tradingsignals.connect(f"127.0.0.1:{script.port}", timeout=timeout) as client:
            with pytest.raises(TemporaryError):
                await client.halt_trading()
        timeout *= 4
    assert len({*script.keys}) == 1
