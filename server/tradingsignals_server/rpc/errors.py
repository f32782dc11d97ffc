"""From errors of the domain to gRPC: one table."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from typing import NoReturn

import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from ..domain.errors import (
    BarConflict,
    FailedPrecondition,
    InvalidRequest,
    NotFound,
    Overloaded,
    SequenceOutOfRange,
    ServiceError,
    ShuttingDown,
    StorageUnavailable,
)

DOMAIN = "tradingsignals"

Context: typing.TypeAlias = "grpc.aio.ServicerContext[typing.Any, typing.Any]"

CODES: Mapping[type[ServiceError], grpc.StatusCode] = {
    InvalidRequest: grpc.StatusCode.INVALID_ARGUMENT,
    NotFound: grpc.StatusCode.NOT_FOUND,
    BarConflict: grpc.StatusCode.ALREADY_EXISTS,
    FailedPrecondition: grpc.StatusCode.FAILED_PRECONDITION,
    SequenceOutOfRange: grpc.StatusCode.OUT_OF_RANGE,
    StorageUnavailable: grpc.StatusCode.UNAVAILABLE,
    ShuttingDown: grpc.StatusCode.UNAVAILABLE,
    Overloaded: grpc.StatusCode.RESOURCE_EXHAUSTED,
    ServiceError: grpc.StatusCode.INTERNAL,
}
"""An error has the code of the nearest of its bases that stands here."""

RETRYABLE = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED})


class Unhealthy(ServiceError):
    """The service cannot do its work; `report` tells how it is. Raised by GetHealth only."""

    reason = "STORAGE_UNAVAILABLE"

    def __init__(self, message: str, report: Message) -> None:
        super().__init__(message)
        self.report = report


def code_of(error: ServiceError) -> grpc.StatusCode:
    """The gRPC code of an error."""
    if isinstance(error, Unhealthy):
        return grpc.StatusCode.UNAVAILABLE
    return next(CODES[base] for base in type(error).__mro__ if base in CODES)


def is_retryable(error: ServiceError) -> bool:
    """True if the same request may well succeed later."""
    return code_of(error) in RETRYABLE


def status_of(error: ServiceError, request_id: str) -> grpc.Status:
    """The status of an error, with google.rpc.ErrorInfo and, for violations, google.rpc.BadRequest."""
    info = error_details_pb2.ErrorInfo(
        reason=error.reason, domain=DOMAIN, metadata={**error.metadata, "request_id": request_id}
    )
    details: list[Message] = [info]
    if isinstance(error, InvalidRequest):
        violations = [
            error_details_pb2.BadRequest.FieldViolation(field=violation.field, description=violation.description)
            for violation in error.violations
        ]
        details.append(error_details_pb2.BadRequest(field_violations=violations))
    if isinstance(error, Unhealthy):
        details.append(error.report)
    return _status(code_of(error), error.message, details)


def internal_status(request_id: str) -> grpc.Status:
    """The status of a defect: it tells the caller nothing but the name under which the log has it."""
    info = error_details_pb2.ErrorInfo(reason="INTERNAL_ERROR", domain=DOMAIN, metadata={"request_id": request_id})
    return _status(grpc.StatusCode.INTERNAL, "the service failed; the request id finds it in the log", [info])


def _status(code: grpc.StatusCode, message: str, details: list[Message]) -> grpc.Status:
    packed = []
    for detail in details:
        wrapped = Any()
        wrapped.Pack(detail)
        packed.append(wrapped)
    return rpc_status.to_status(status_pb2.Status(code=code.value[0], message=message, details=packed))


async def abort(context: Context, status: grpc.Status) -> NoReturn:
    """End the call with `status`."""
    await context.abort_with_status(status)  # type: ignore[attr-defined]  # the stubs lack it
    raise AssertionError("abort returns never")
