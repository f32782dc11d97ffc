"""The table from errors to statuses is complete, and every reason is one of the contract."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from google.protobuf.message import DecodeError
from google.rpc import code_pb2, error_details_pb2, status_pb2
from hypothesis import given
from hypothesis import strategies as st
from tests.support.builders import OPENING

from tradingsignals.v1 import error_reason_pb2, system_service_pb2
from tradingsignals_server.adapters.envoy.render import EDGE_ERRORS
from tradingsignals_server.api.mapping.errors import (
    Unhealthy,
    code_of,
    is_retryable,
    status_of,
)
from tradingsignals_server.application.ports.peer import PeerError
from tradingsignals_server.domain.access_errors import (
    InvalidKey,
    KeyNotFound,
    NetworkNotAllowed,
    RateLimited,
    RoleNotAllowed,
    StreamExpired,
    TooManyStreams,
    Unauthenticated,
)
from tradingsignals_server.domain.account_errors import AccountNotReady, TradingIsHalted
from tradingsignals_server.domain.errors import (
    BacktestFailed,
    BarConflict,
    FieldViolation,
    FollowerStalled,
    IntervalStored,
    InvalidBar,
    InvalidPageToken,
    InvalidRequest,
    MalformedMessage,
    ModelInterval,
    ModelNotLoaded,
    NotAPeer,
    NotEnoughBars,
    NotStorable,
    Overloaded,
    OwnerUnavailable,
    PositionAlreadyClosed,
    PositionNotFound,
    PriceJump,
    ReadTimedOut,
    SequencePruned,
    SequenceUnknown,
    ServiceError,
    ShuttingDown,
    StorageUnavailable,
    TooManyBacktests,
    TooManySymbols,
)
from tradingsignals_server.domain.idempotency import IdempotencyKeyReused, KeyUsedMeanwhile
from tradingsignals_server.domain.notification_errors import EndpointExists, EndpointNotFound, TooManyEndpoints
from tradingsignals_server.domain.signal_errors import InputsNotStored, SignalNotFound
from tradingsignals_server.domain.statistics_errors import StatisticsLimit
from tradingsignals_server.transport.grpc.headers import trailers_only
from tradingsignals_server.transport.grpc.status import PeerRefused

REPORT = system_service_pb2.GetHealthResponse(status="unhealthy", warnings=["no database"])
VIOLATION = FieldViolation("limit", "must be from 1 to 1000")
CODES = grpc.StatusCode
TABLE: list[tuple[ServiceError, grpc.StatusCode]] = [
    (InvalidRequest([VIOLATION]), CODES.INVALID_ARGUMENT),
    (InvalidPageToken(), CODES.INVALID_ARGUMENT),
    (InvalidBar([VIOLATION]), CODES.INVALID_ARGUMENT),
    (MalformedMessage(0), CODES.INVALID_ARGUMENT),
    (SignalNotFound("USDCOP"), CODES.NOT_FOUND),
    (PositionNotFound("p"), CODES.NOT_FOUND),
    (BarConflict("USDCOP", OPENING), CODES.ALREADY_EXISTS),
    (IdempotencyKeyReused("tradingsignals.v1.SignalService.GenerateSignal"), CODES.ALREADY_EXISTS),
    (KeyUsedMeanwhile(), CODES.UNAVAILABLE),
    (PositionAlreadyClosed("p"), CODES.FAILED_PRECONDITION),
    (NotEnoughBars("USDCOP", 50, 7), CODES.FAILED_PRECONDITION),
    (TooManySymbols("USDCOP", 9), CODES.FAILED_PRECONDITION),
    (ModelInterval("USDCOP", "1h", "5m"), CODES.FAILED_PRECONDITION),
    (InputsNotStored("7d3f"), CODES.FAILED_PRECONDITION),
    (IntervalStored("USDCOP", "5m", "1h"), CODES.FAILED_PRECONDITION),
    (NotStorable("it violates bars_check"), CODES.FAILED_PRECONDITION),
    (SequencePruned(1, 5), CODES.OUT_OF_RANGE),
    (SequenceUnknown(5, 1, "e"), CODES.OUT_OF_RANGE),
    (PriceJump(["price"], "USDCOP", 4000.0, 0.5), CODES.INVALID_ARGUMENT),
    (StorageUnavailable(), CODES.UNAVAILABLE),
    (AccountNotReady(), CODES.UNAVAILABLE),
    (StatisticsLimit("8 calls are pending"), CODES.RESOURCE_EXHAUSTED),
    (OwnerUnavailable("USDCOP"), CODES.UNAVAILABLE),
    (ModelNotLoaded("model.onnx: is no ONNX file"), CODES.FAILED_PRECONDITION),
    (BacktestFailed("there are no bars"), CODES.FAILED_PRECONDITION),
    (TradingIsHalted(), CODES.FAILED_PRECONDITION),
    (TooManyBacktests(2), CODES.RESOURCE_EXHAUSTED),
    (Overloaded(9), CODES.RESOURCE_EXHAUSTED),
    (ReadTimedOut(10.0), CODES.RESOURCE_EXHAUSTED),
    (NotAPeer(), CODES.PERMISSION_DENIED),
    (Unauthenticated(), grpc.StatusCode.UNAUTHENTICATED),
    (InvalidKey("revoked", "k"), grpc.StatusCode.UNAUTHENTICATED),
    (RoleNotAllowed("viewer", "admin"), grpc.StatusCode.PERMISSION_DENIED),
    (NetworkNotAllowed("192.0.2.1"), grpc.StatusCode.PERMISSION_DENIED),
    (RateLimited(5.0, 2), CODES.RESOURCE_EXHAUSTED),
    (TooManyStreams(3), CODES.RESOURCE_EXHAUSTED),
    (StreamExpired(60.0), CODES.UNAVAILABLE),
    (KeyNotFound("k"), grpc.StatusCode.NOT_FOUND),
    (EndpointNotFound("e"), grpc.StatusCode.NOT_FOUND),
    (EndpointExists("desk"), grpc.StatusCode.ALREADY_EXISTS),
    (TooManyEndpoints(100), grpc.StatusCode.FAILED_PRECONDITION),
    (FollowerStalled(3, 300.0), CODES.RESOURCE_EXHAUSTED),
    (ShuttingDown(3), CODES.UNAVAILABLE),
    (Unhealthy("no database", REPORT), CODES.UNAVAILABLE),
]


def leaves(base: type[ServiceError]) -> set[type[ServiceError]]:
    """The errors that are raised: those below `base` that nothing is below, and those with a reason of their own."""
    children = base.__subclasses__()
    found = {leaf for child in children for leaf in leaves(child)}
    return found | ({base} if not children or "reason" in vars(base) else set())


def unpacked(status: Any) -> status_pb2.Status:
    """The google.rpc.Status that travels in the trailers."""
    metadata = dict(status.metadata)
    message = status_pb2.Status.FromString(metadata["grpc-status-details-bin"])
    assert message.code == status.code.value[0]
    assert message.message == status.message
    return message


def details(status: Any) -> dict[str, Any]:
    """The details of a status by the name of their type."""
    types = (error_details_pb2.ErrorInfo, error_details_pb2.BadRequest, system_service_pb2.GetHealthResponse)
    found = {}
    for packed in unpacked(status).details:
        for type_ in types:
            message: Any = type_()
            if packed.Unpack(message):
                found[type_.__name__] = message
    assert len(found) == len(unpacked(status).details)
    return found


def test_table_covers_every_error() -> None:
    assert {type(error) for error, _ in TABLE} | {ServiceError, PeerError} == leaves(ServiceError)


@pytest.mark.parametrize(("error", "code"), TABLE, ids=lambda one: type(one).__name__)
def test_error_has_a_code_and_a_reason_of_the_contract(error: ServiceError, code: grpc.StatusCode) -> None:
    assert code_of(error) is code
    assert error_reason_pb2.ErrorReason.Value(error.reason)
    status = status_of(error, "call-1")
    info = details(status)["ErrorInfo"]
    assert status.code is code
    assert unpacked(status).message == error.message
    assert (info.domain, info.reason) == ("tradingsignals", error.reason)
    assert dict(info.metadata) == {**error.metadata, "request_id": "call-1"}
    assert code_pb2.Code.Value(code.name) == code.value[0]


def test_every_reason_of_the_contract_has_an_error() -> None:
    reasons = {error.reason for error, _ in TABLE} | {ServiceError.reason}
    of_the_edge = {reason for _, reason in EDGE_ERRORS.values()}
    assert reasons | of_the_edge == set(error_reason_pb2.ErrorReason.keys()) - {"ERROR_REASON_UNSPECIFIED"}


def test_only_overload_and_outages_are_retryable() -> None:
    retryable = {type(error) for error, _ in TABLE if is_retryable(error)}
    overload = {Overloaded, ReadTimedOut, TooManyBacktests, StatisticsLimit, FollowerStalled}
    overload |= {RateLimited, TooManyStreams, StreamExpired}
    outages = {StorageUnavailable, KeyUsedMeanwhile, OwnerUnavailable, AccountNotReady, ShuttingDown, Unhealthy}
    assert retryable == overload | outages


def test_violations_are_listed_by_field() -> None:
    error = InvalidBar([VIOLATION, FieldViolation("bar.high", "must be finite")])
    listed = details(status_of(error, ""))["BadRequest"].field_violations
    assert [(violation.field, violation.description) for violation in listed] == [
        ("limit", "must be from 1 to 1000"),
        ("bar.high", "must be finite"),
    ]
    assert "BadRequest" not in details(status_of(StorageUnavailable(), ""))


def test_unhealthy_error_contains_the_health_report() -> None:
    assert details(status_of(Unhealthy("no database", REPORT), ""))["GetHealthResponse"] == REPORT


def test_status_of_a_defect_reveals_no_details() -> None:
    status = status_of(KeyError("secret"), "call-1")
    info = details(status)["ErrorInfo"]
    assert status.code is CODES.INTERNAL
    assert (info.reason, dict(info.metadata)) == ("INTERNAL_ERROR", {"request_id": "call-1"})
    assert (status.is_defect, status.is_fault, status.reason) == (True, True, "INTERNAL_ERROR")
    assert status.message == "the service failed; the request id finds it in the log"


def test_errors_of_the_transport_have_a_status_of_the_contract() -> None:
    assert status_of(PeerRefused(), "call-1") == status_of(NotAPeer(), "call-1")
    assert status_of(DecodeError(), "call-1") == status_of(MalformedMessage(0), "call-1")


def test_shutdown_is_not_a_fault_of_the_server() -> None:
    assert status_of(StorageUnavailable(), "").is_fault
    assert not status_of(ShuttingDown(7), "").is_fault
    assert not status_of(NotAPeer(), "").is_fault


def test_service_error_without_a_subclass_is_internal() -> None:
    assert code_of(ServiceError("odd")) is CODES.INTERNAL


texts = st.tuples(st.text(max_size=5), st.sampled_from([1, 50, 3000])).map(lambda drawn: drawn[0] * drawn[1])
violations = st.lists(st.builds(FieldViolation, texts, texts), min_size=1, max_size=20)
metadata = st.dictionaries(st.sampled_from(["symbol", "time", "oldest_sequence"]), texts)


def peer_error(message: str, found: dict[str, str]) -> PeerError:
    """The error of another server, which may be an older one that bounds nothing."""
    status = status_pb2.Status(code=CODES.INVALID_ARGUMENT.value[0], message=message)
    status.details.add().Pack(error_details_pb2.ErrorInfo(metadata=found))
    return PeerError(message, "", status.SerializeToString())


@given(violations, texts, metadata)
def test_refusal_takes_less_than_4_kb(listed: list[FieldViolation], message: str, found: dict[str, str]) -> None:
    report = system_service_pb2.GetHealthResponse(warnings=[message] * 20)
    for n in range(100):
        report.symbols.add(symbol=f"SYMBOL{n}")
    kinds: list[ServiceError] = [
        InvalidRequest(listed, **found),
        InvalidBar(listed).under("bar"),
        ServiceError(message, **found),
        Unhealthy(message, report),
        peer_error(message, found),
    ]
    for error in kinds:
        status = status_of(error, "r" * 128)
        assert len(trailers_only(status.code, status.message, status.metadata)) < 4096
        assert unpacked(status).message == status.message


def test_truncated_refusal_counts_the_omitted_violations() -> None:
    error = InvalidRequest([VIOLATION] * 100)
    status = status_of(error, "r" * 128)
    assert status.message.endswith("; and 90 more")
    assert len(details(status)["BadRequest"].field_violations) == 10
    long = status_of(InvalidRequest([FieldViolation("x" * 500, "\u00e9" * 500)] * 100), "")
    kept = len(details(long)["BadRequest"].field_violations)
    assert 1 <= kept < 10
    assert long.message.endswith(f"...; and {100 - kept} more")


def test_long_health_report_is_truncated_and_not_omitted() -> None:
    report = system_service_pb2.GetHealthResponse(status="unhealthy", warnings=["no bars"] * 9)
    for n in range(10_000):
        report.symbols.add(symbol=f"S{n}")
    sent = details(status_of(Unhealthy("no database", report), ""))["GetHealthResponse"]
    assert (sent.status, len(sent.warnings), len(sent.symbols)) == ("unhealthy", 5, 10)


def test_limit_of_a_caller_says_when_to_try_again() -> None:
    assert ("retry-after", "2") in status_of(RateLimited(5.0, 2), "call-1").metadata


def test_caller_without_credentials_is_told_which_scheme_is_accepted() -> None:
    assert ("www-authenticate", "Bearer") in status_of(Unauthenticated(), "call-1").metadata
    assert "www-authenticate" not in dict(status_of(RoleNotAllowed("viewer", "admin"), "call-1").metadata)
