"""The errors of a call.

TradingSignalsError
├── InvalidRequest        a field cannot be accepted; `violations` names each (INVALID_ARGUMENT)
├── NotFound              there is no such signal or position (NOT_FOUND)
├── AlreadyExists         another bar is stored for the time, or the key was used for another call (ALREADY_EXISTS)
├── FailedPrecondition    the request is right, the state of things is not (FAILED_PRECONDITION)
├── OutOfRange            the stream cannot be resumed from there (OUT_OF_RANGE)
│   ├── EpochChanged      the log that was followed does not exist any more: a new database, or an older copy
│   └── EventsPruned      events that were not handed out yet are no longer kept
├── TooLarge              the request or its response exceeds a size limit (RESOURCE_EXHAUSTED without a reason)
├── AccessDenied          the caller is unknown or lacks the permission (UNAUTHENTICATED, PERMISSION_DENIED)
├── InternalError         a defect of the service, or a call that it does not know
└── TemporaryError        the same call may well succeed later
    ├── Unavailable       the service, its database or the network is down (UNAVAILABLE, a broken connection)
    ├── Overloaded        the service is overloaded, or the follower was too slow (RESOURCE_EXHAUSTED)
    └── DeadlineExceeded  no response in time; the service may have done the call all the same (DEADLINE_EXCEEDED)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import grpc
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

M = TypeVar("M", bound=Message)


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One field that was refused, and why; `field` is its path in the request."""

    field: str
    description: str


class TradingSignalsError(Exception):
    """A call that failed.

    Attributes:
        code: the gRPC status code.
        reason: a name of tradingsignals.v1.ErrorReason; "" if the service itself was not reached.
        message: what happened, in a sentence.
        metadata: what the reason is about, such as symbol or position_id; see ErrorReason.
        violations: the fields that were refused, if any.
    """

    def __init__(
        self,
        message: str,
        *,
        code: grpc.StatusCode = grpc.StatusCode.UNKNOWN,
        reason: str = "",
        metadata: Mapping[str, str] | None = None,
        violations: tuple[FieldViolation, ...] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.reason = reason
        self.metadata: Mapping[str, str] = metadata or {}
        self.violations = violations

    def __str__(self) -> str:
        return f"{self.reason or self.code.name}: {self.message}"


class InvalidRequest(TradingSignalsError):
    """One or more fields cannot be accepted."""


class NotFound(TradingSignalsError):
    """There is no such signal or position."""


class AlreadyExists(TradingSignalsError):
    """A different bar is stored for the same symbol and time."""


class FailedPrecondition(TradingSignalsError):
    """The request is valid, the state of the service is not: the position is closed, the bars are too few."""


class OutOfRange(TradingSignalsError):
    """The stream cannot be resumed there: the events are pruned (metadata: oldest_sequence) or of another log."""


class EpochChanged(OutOfRange):
    """The log that was followed does not exist any more: the database is new, or was set back to an older state.

    Sequences of two logs are unrelated, so state that was derived from the old log must be checked.

    Attributes:
        sequence: how far the old log was followed.
        old_epoch: the old log; None if it was never known.
        epoch: the new log, the same as before if the database was set back; None if it is not known.
    """

    def __init__(self, sequence: int, old_epoch: str | None, epoch: str | None) -> None:
        what = "was set back" if epoch is not None and epoch == old_epoch else f"is another one now, {epoch}"
        super().__init__(
            f"the event log {old_epoch or ''} followed up to {sequence} {what}".replace("  ", " "),
            code=grpc.StatusCode.OUT_OF_RANGE,
            reason="SEQUENCE_UNKNOWN",
            metadata={} if epoch is None else {"epoch": epoch},
        )
        self.sequence = sequence
        self.old_epoch = old_epoch
        self.epoch = epoch


class EventsPruned(OutOfRange):
    """Events that were not handed out yet are no longer kept.

    Attributes:
        sequence: how far the log was followed.
        oldest_sequence: the oldest event that is kept; following with `resume_after` one less goes on with it.
    """

    def __init__(self, sequence: int, oldest_sequence: int) -> None:
        super().__init__(
            f"events after {sequence} are no longer all kept; the oldest kept is {oldest_sequence}",
            code=grpc.StatusCode.OUT_OF_RANGE,
            reason="SEQUENCE_PRUNED",
            metadata={"oldest_sequence": str(oldest_sequence)},
        )
        self.sequence = sequence
        self.oldest_sequence = oldest_sequence


class TooLarge(TradingSignalsError):
    """The request, its response or its metadata exceeds a size limit; the same call will fail again."""


class AccessDenied(TradingSignalsError):
    """The caller is unknown, or lacks the permission."""


class InternalError(TradingSignalsError):
    """A defect of the service, or a call that it does not know; the same call will fail again."""


class TemporaryError(TradingSignalsError):
    """The same call may well succeed later."""


class Unavailable(TemporaryError):
    """The service, its database or the network is down."""


class Overloaded(TemporaryError):
    """The service is overloaded, or the follower of a stream was too slow."""


class DeadlineExceeded(TemporaryError):
    """No response came in time; the service may have done the call all the same."""


_BY_CODE: Mapping[grpc.StatusCode, type[TradingSignalsError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidRequest,
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.ALREADY_EXISTS: AlreadyExists,
    grpc.StatusCode.FAILED_PRECONDITION: FailedPrecondition,
    grpc.StatusCode.OUT_OF_RANGE: OutOfRange,
    grpc.StatusCode.UNAUTHENTICATED: AccessDenied,
    grpc.StatusCode.PERMISSION_DENIED: AccessDenied,
    grpc.StatusCode.UNAVAILABLE: Unavailable,
    grpc.StatusCode.RESOURCE_EXHAUSTED: Overloaded,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
}
_BROKEN = frozenset({grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.CANCELLED})


def from_rpc_error(error: grpc.RpcError) -> TradingSignalsError:
    """Return the error of this package for one of gRPC's, sync or async."""
    call: Any = error
    code: grpc.StatusCode = call.code()
    status = _status_of(call)
    info = _detail(status, ErrorInfo)
    if info is None and code in _BROKEN:
        # The service gives each error a reason. Without one, the connection or a proxy on the way broke.
        kind: type[TradingSignalsError] = Unavailable
    elif info is None and code is grpc.StatusCode.RESOURCE_EXHAUSTED:
        # A service that is overloaded gives a reason. gRPC itself uses this code for what exceeds a size limit.
        kind = TooLarge
    else:
        kind = _BY_CODE.get(code, InternalError)
    bad = _detail(status, BadRequest)
    return kind(
        call.details() or "",
        code=code,
        reason="" if info is None else info.reason,
        metadata={} if info is None else dict(info.metadata),
        violations=()
        if bad is None
        else tuple(FieldViolation(found.field, found.description) for found in bad.field_violations),
    )


def detail_of(error: grpc.RpcError, kind: type[M]) -> M | None:
    """Return the detail of that type in the status of an error, or None."""
    return _detail(_status_of(error), kind)


def _status_of(call: Any) -> Status | None:
    try:
        return rpc_status.from_call(call)
    except ValueError:  # details that contradict the status are not of the service
        return None


def _detail(status: Status | None, kind: type[M]) -> M | None:
    for packed in () if status is None else status.details:
        found = kind()
        if packed.Unpack(found):
            return found
    return None
