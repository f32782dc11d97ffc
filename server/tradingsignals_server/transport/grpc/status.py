"""The status that a call ends with, and how errors are mapped to one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import grpc

_SERVER_FAULTS: Final = frozenset(
    {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.UNAVAILABLE},
)


@dataclass(frozen=True, slots=True)
class CallStatus:
    """The status of a call as it is sent, and as it is logged."""

    code: grpc.StatusCode
    message: str = ""
    metadata: Sequence[tuple[str, bytes | str]] = ()
    """Trailing metadata, the details of an error among it."""
    reason: str = ""
    """What the log states beside the code."""
    is_expected: bool = False
    """True if the error belongs to the normal life of a server, such as its stop."""
    is_defect: bool = False
    """True if nothing is known of the error: the log has its traceback, the caller has not."""

    @property
    def is_fault(self) -> bool:
        """True if an operator should know of it."""
        return self.code in _SERVER_FAULTS and not self.is_expected


OK: Final = CallStatus(grpc.StatusCode.OK)
CANCELLED: Final = CallStatus(grpc.StatusCode.CANCELLED)


class CallSpan(Protocol):
    """The span of one call."""

    @property
    def trace_id(self) -> str:
        """Id of its trace, 32 hexadecimal digits."""

    def activate(self) -> None:
        """Let all that the present task does from now on belong to it."""

    def end(self, status: CallStatus) -> None:
        """End it with the status of the call."""


BeginSpan = Callable[[str, str | None], CallSpan | None]
"""Begins the span of a call, given the path of its method and its traceparent; None if the call is not traced."""


class PeerRefused(Exception):
    """The caller offers a secret that is not that of the servers of this database."""


class NotOneMessage(Exception):
    """The caller of a method that takes one message has sent none, a part of one, more, or one that is not compressed
    as it says."""


@dataclass(frozen=True, slots=True)
class CallRules:
    """What the servers have to know of the service that they serve."""

    status_of: Callable[[Exception, str], CallStatus]
    """Maps the error that a call ended with, and its request id, to a status."""
    is_routine: Callable[[str], bool]
    """True for methods that programs call every few seconds; they are logged at DEBUG."""
    on_end: Callable[[str, CallStatus, float], None] | None = None
    """Called at the end of each call with the path of its method, its status, and its duration in seconds."""
    begin_span: BeginSpan | None = None
    """Begins the span of a call; absent if there are no traces."""
