from __future__ import annotations

import asyncio
import inspect
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from google.rpc.status_pb2 import Status
from tests.support.deadlines import DEADLINE

import tradingsignals
from tradingsignals import FieldViolation, TemporaryError, TradingSignalsError
from tradingsignals.v1.system_service_pb2 import GetHealthResponse


def status(code: grpc.StatusCode, message: str, *details: Message) -> Status:
    made = Status(code=code.value[0], message=message)
    for detail in details:
        made.details.add().Pack(detail)
    return made


@pytest.mark.parametrize(
    ("code", "kind", "temporary"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, tradingsignals.InvalidRequest, False),
        (grpc.StatusCode.NOT_FOUND, tradingsignals.NotFound, False),
        (grpc.StatusCode.ALREADY_EXISTS, tradingsignals.AlreadyExists, False),
        (grpc.StatusCode.FAILED_PRECONDITION, tradingsignals.FailedPrecondition, False),
        (grpc.StatusCode.OUT_OF_RANGE, tradingsignals.OutOfRange, False),
        (grpc.StatusCode.PERMISSION_DENIED, tradingsignals.AccessDenied, False),
        (grpc.StatusCode.UNAUTHENTICATED, tradingsignals.AccessDenied, False),
        (grpc.StatusCode.INTERNAL, tradingsignals.InternalError, False),
        (grpc.StatusCode.UNAVAILABLE, tradingsignals.Unavailable, True),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, tradingsignals.Overloaded, True),
        (grpc.StatusCode.DEADLINE_EXCEEDED, tradingsignals.DeadlineExceeded, True),
    ],
)
async def test_each_code_has_its_error(
    client: Any, script: Any, code: grpc.StatusCode, kind: type[TradingSignalsError], temporary: bool
) -> None:
    info = ErrorInfo(reason="SOME_REASON", domain="tradingsignals", metadata={"symbol": "USDCOP"})
    script.failure = status(code, "it did not work", info)
    with pytest.raises(TradingSignalsError) as failed:
        await client.call("latest_signal", "USDCOP")
    error = failed.value
    assert type(error) is kind
    assert isinstance(error, TemporaryError) is temporary
    assert (error.code, error.reason, error.message) == (code, "SOME_REASON", "it did not work")
    assert (error.metadata, error.violations) == ({"symbol": "USDCOP"}, ())
    assert str(error) == "SOME_REASON: it did not work"


async def test_violations_name_each_field(client: Any, script: Any) -> None:
    bad = BadRequest()
    bad.field_violations.add(field="close_price", description="must be greater than 0")
    bad.field_violations.add(field="rsi", description="must lie between 0 and 100")
    info = ErrorInfo(reason="INVALID_FIELD", domain="tradingsignals")
    script.failure = status(grpc.StatusCode.INVALID_ARGUMENT, "close_price: must be greater than 0", info, bad)
    with pytest.raises(tradingsignals.InvalidRequest) as failed:
        await client.call("generate_signal", -1.0, rsi=101.0)
    assert failed.value.violations == (
        FieldViolation("close_price", "must be greater than 0"),
        FieldViolation("rsi", "must lie between 0 and 100"),
    )


@pytest.mark.parametrize("code", [grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.UNAVAILABLE])
async def test_error_without_a_reason_is_unavailable(client: Any, script: Any, code: grpc.StatusCode) -> None:
    script.failure_code = code
    with pytest.raises(tradingsignals.Unavailable) as failed:
        await client.call("statistics")
    assert (failed.value.code, failed.value.reason) == (code, "")
    assert str(failed.value) == f"{code.name}: something on the way broke"


async def test_size_limit_of_grpc_is_too_large_and_not_overloaded(client: Any, script: Any) -> None:
    script.failure_code = grpc.StatusCode.RESOURCE_EXHAUSTED
    with pytest.raises(tradingsignals.TooLarge) as failed:
        await client.call("statistics")
    assert not isinstance(failed.value, TemporaryError)


async def test_lists_publish_streams_and_streams_raise_the_same_errors(client: Any, script: Any) -> None:
    info = ErrorInfo(reason="STORAGE_UNAVAILABLE", domain="tradingsignals")
    script.failure = status(grpc.StatusCode.UNAVAILABLE, "the database cannot be reached", info)
    script.responses["StreamEvents"] = []
    for method in ("signals", "closed_positions", "bars"):
        with pytest.raises(tradingsignals.Unavailable, match="STORAGE_UNAVAILABLE"):
            await client.listed(method)
    with pytest.raises(tradingsignals.Unavailable, match="STORAGE_UNAVAILABLE"):
        await client.call("publish_bars", [tradingsignals.Bar()])
    with pytest.raises(tradingsignals.Unavailable, match="STORAGE_UNAVAILABLE"):
        await client.followed("stream_events", 1)


async def test_health_returns_the_report_of_an_unhealthy_service(client: Any, script: Any) -> None:
    report = GetHealthResponse(status="unhealthy", warnings=["the database cannot be reached"])
    info = ErrorInfo(reason="STORAGE_UNAVAILABLE", domain="tradingsignals")
    script.failure = status(grpc.StatusCode.UNAVAILABLE, "the database cannot be reached", info, report)
    assert await client.call("health") == report


async def test_health_raises_if_there_is_no_report(client: Any, script: Any) -> None:
    script.failure_code = grpc.StatusCode.UNAVAILABLE
    with pytest.raises(tradingsignals.Unavailable):
        await client.call("health")


async def test_calls_have_a_deadline(script: Any) -> None:
    script.silent = True
    address = f"127.0.0.1:{script.port}"
    async with asyncio.timeout(DEADLINE), tradingsignals.connect(address, timeout=0.05) as client:
        with pytest.raises(tradingsignals.DeadlineExceeded):
            await client.latest_signal()
        with pytest.raises(tradingsignals.DeadlineExceeded):
            await client.publish_bars([], timeout=0.05)
    with tradingsignals.connect_sync(address, timeout=0.05) as sync_client:
        with pytest.raises(tradingsignals.DeadlineExceeded):
            await asyncio.to_thread(sync_client.latest_signal)
        with pytest.raises(tradingsignals.DeadlineExceeded):
            await asyncio.to_thread(sync_client.publish_bars, [], timeout=0.05)


def test_both_clients_have_the_same_methods() -> None:
    def public(kind: type) -> dict[str, list[str]]:
        return {
            name: list(inspect.signature(member).parameters)
            for name, member in vars(kind).items()
            if inspect.isfunction(member) and not name.startswith("_")
        }

    assert public(tradingsignals.AsyncClient) == public(tradingsignals.Client)
    assert (
        inspect.signature(tradingsignals.connect).parameters
        == inspect.signature(tradingsignals.connect_sync).parameters
    )
