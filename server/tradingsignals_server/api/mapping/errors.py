"""From errors of the domain to gRPC: one table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2

from tradingsignals.v1 import system_service_pb2

from ...application.ports.peer import PeerError
from ...domain.access_errors import LimitReached, NotAllowed, StreamExpired, Unauthenticated
from ...domain.account_errors import AccountNotReady
from ...domain.errors import (
    LISTED_VIOLATIONS,
    BarConflict,
    FailedPrecondition,
    FieldViolation,
    FollowerStalled,
    InvalidRequest,
    MalformedMessage,
    NotAPeer,
    NotFound,
    Overloaded,
    SequenceOutOfRange,
    ServiceError,
    ShuttingDown,
    StorageUnavailable,
    violations_text,
)
from ...domain.idempotency import IdempotencyKeyReused
from ...domain.notification_errors import EndpointExists
from ...transport.grpc.bounds import (
    MAX_MESSAGE_BYTES,
    MAX_STATUS_BYTES,
    MAX_TEXT_BYTES,
    binary_header,
    cut,
    percent_encoded,
)
from ...transport.grpc.status import CallStatus, NotOneMessage, PeerRefused

DOMAIN = "tradingsignals"

_DETAILS_KEY = "grpc-status-details-bin"

CODES: Mapping[type[ServiceError], grpc.StatusCode] = {
    InvalidRequest: grpc.StatusCode.INVALID_ARGUMENT,
    MalformedMessage: grpc.StatusCode.INVALID_ARGUMENT,
    NotFound: grpc.StatusCode.NOT_FOUND,
    NotAPeer: grpc.StatusCode.PERMISSION_DENIED,
    NotAllowed: grpc.StatusCode.PERMISSION_DENIED,
    Unauthenticated: grpc.StatusCode.UNAUTHENTICATED,
    LimitReached: grpc.StatusCode.RESOURCE_EXHAUSTED,
    StreamExpired: grpc.StatusCode.UNAVAILABLE,
    BarConflict: grpc.StatusCode.ALREADY_EXISTS,
    IdempotencyKeyReused: grpc.StatusCode.ALREADY_EXISTS,
    EndpointExists: grpc.StatusCode.ALREADY_EXISTS,
    FailedPrecondition: grpc.StatusCode.FAILED_PRECONDITION,
    SequenceOutOfRange: grpc.StatusCode.OUT_OF_RANGE,
    StorageUnavailable: grpc.StatusCode.UNAVAILABLE,
    AccountNotReady: grpc.StatusCode.UNAVAILABLE,
    ShuttingDown: grpc.StatusCode.UNAVAILABLE,
    Overloaded: grpc.StatusCode.RESOURCE_EXHAUSTED,
    FollowerStalled: grpc.StatusCode.RESOURCE_EXHAUSTED,
    ServiceError: grpc.StatusCode.INTERNAL,
}
"""An error has the code of the nearest of its bases that stands here."""

LISTED_WARNINGS, LISTED_SYMBOLS = 5, 10
"""What of a health report travels with an error."""

_CODES_BY_NUMBER: Mapping[int, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}

RETRYABLE = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED})


class Unhealthy(ServiceError):
    """The service cannot do its work; `report` tells how it is. Raised by GetHealth only."""

    reason = "STORAGE_UNAVAILABLE"

    def __init__(self, message: str, report: system_service_pb2.GetHealthResponse) -> None:
        super().__init__(message)
        self.report = report


def code_of(error: ServiceError) -> grpc.StatusCode:
    """The gRPC code of an error."""
    if isinstance(error, Unhealthy):
        return grpc.StatusCode.UNAVAILABLE
    if isinstance(error, PeerError):
        return _CODES_BY_NUMBER[status_pb2.Status.FromString(error.status).code]
    return next(CODES[base] for base in type(error).__mro__ if base in CODES)


def is_retryable(error: ServiceError) -> bool:
    """True if the same request may well succeed later."""
    return code_of(error) in RETRYABLE


def public_message(error: ServiceError) -> str:
    """The message of an error as callers read it: at most MAX_MESSAGE_BYTES."""
    return cut(error.message, MAX_MESSAGE_BYTES)


def status_of(error: Exception, request_id: str) -> CallStatus:
    """The status of the error that a call ended with.

    It has google.rpc.ErrorInfo and, for violations, google.rpc.BadRequest. It takes at most MAX_STATUS_BYTES of
    trailers: long texts are cut, and of many violations the first are listed.
    """
    match error:
        case ServiceError():
            known = error
        case PeerRefused():
            known = NotAPeer()
        case DecodeError() | NotOneMessage():
            known = MalformedMessage(0)
        case _:
            return _sent(_defect(request_id), "INTERNAL_ERROR", is_defect=True)
    is_expected = isinstance(known, ShuttingDown | StreamExpired)
    sent = _sent(_rpc_status_of(known, request_id), known.reason, is_expected=is_expected)
    if (seconds := known.metadata.get("retry_after_seconds")) is not None:
        return replace(sent, metadata=(*sent.metadata, ("retry-after", seconds)))  # RFC 9110, 10.2.3
    return sent


def _sent(status: status_pb2.Status, reason: str, *, is_expected: bool = False, is_defect: bool = False) -> CallStatus:
    metadata: tuple[tuple[str, bytes | str], ...] = ((_DETAILS_KEY, status.SerializeToString()),)
    if status.code == grpc.StatusCode.UNAUTHENTICATED.value[0]:
        metadata = (*metadata, ("www-authenticate", "Bearer"))  # RFC 9110, 15.5.2
    return CallStatus(_CODES_BY_NUMBER[status.code], status.message, metadata, reason, is_expected, is_defect)


def _rpc_status_of(error: ServiceError, request_id: str) -> status_pb2.Status:
    if isinstance(error, PeerError):
        return _fitting(status_pb2.Status.FromString(error.status))
    metadata = {key: cut(value, MAX_TEXT_BYTES) for key, value in error.metadata.items()}
    info = error_details_pb2.ErrorInfo(
        reason=error.reason, domain=DOMAIN, metadata={**metadata, "request_id": request_id}
    )
    if isinstance(error, InvalidRequest):
        return _refusal(error, info)
    details: list[Message] = [info]
    if isinstance(error, Unhealthy):
        details.append(_short_report(error.report))
    return _fitting(_status(code_of(error), public_message(error), details))


def _refusal(error: InvalidRequest, info: error_details_pb2.ErrorInfo) -> status_pb2.Status:
    """The status with as many of the first violations as fit."""
    count = len(error.violations)
    listed = [
        FieldViolation(cut(violation.field, MAX_TEXT_BYTES), cut(violation.description, MAX_TEXT_BYTES))
        for violation in error.violations[:LISTED_VIOLATIONS]
    ]
    while True:
        bad = error_details_pb2.BadRequest(
            field_violations=[
                error_details_pb2.BadRequest.FieldViolation(field=violation.field, description=violation.description)
                for violation in listed
            ]
        )
        status = _status(code_of(error), violations_text(listed, count), [info, bad])
        if len(listed) <= 1 or _size(status) <= MAX_STATUS_BYTES:
            return status
        listed.pop()


def _short_report(report: system_service_pb2.GetHealthResponse) -> system_service_pb2.GetHealthResponse:
    """The report with the first of its lists only."""
    short = system_service_pb2.GetHealthResponse()
    short.CopyFrom(report)
    short.warnings[:] = [cut(warning, MAX_TEXT_BYTES) for warning in report.warnings[:LISTED_WARNINGS]]
    del short.symbols[LISTED_SYMBOLS:]
    return short


def _fitting(status: status_pb2.Status) -> status_pb2.Status:
    """The status without the last of its details while it is too large."""
    found = status_pb2.Status(code=status.code, message=cut(status.message, MAX_MESSAGE_BYTES), details=status.details)
    while found.details and _size(found) > MAX_STATUS_BYTES:
        del found.details[-1]
    return found


def _size(status: status_pb2.Status) -> int:
    """Bytes of trailers."""
    return len(percent_encoded(status.message)) + len(binary_header(status.SerializeToString()))


def _defect(request_id: str) -> status_pb2.Status:
    """The status of a defect: the caller is sent nothing but the request id by which it is found in the log."""
    info = error_details_pb2.ErrorInfo(reason="INTERNAL_ERROR", domain=DOMAIN, metadata={"request_id": request_id})
    return _status(grpc.StatusCode.INTERNAL, "the service failed; the request id finds it in the log", [info])


def _status(code: grpc.StatusCode, message: str, details: list[Message]) -> status_pb2.Status:
    packed = []
    for detail in details:
        wrapped = Any()
        wrapped.Pack(detail)
        packed.append(wrapped)
    return status_pb2.Status(code=code.value[0], message=message, details=packed)
