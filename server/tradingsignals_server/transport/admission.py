"""What decides, before anything of a call is read but its headers, whether the call is served."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from .grpc.status import CallStatus

HeaderOf = Callable[[str], str | None]
"""Returns the value of a header of a request by its name in lower case; None if the request does not have it."""


class Admission(Protocol):
    """The permission to serve one call, for as long as the call lasts."""

    def enter(self) -> None:
        """Let the handler know the caller; called in the task of the call."""

    def hold(self, withdraw: Callable[[Exception], None]) -> None:
        """Have `withdraw` called with an error when the permission ends before the call: this is one that may last."""

    def release(self, status: CallStatus) -> None:
        """Report that the call has ended."""


class Gate(Protocol):
    """Admits calls."""

    def admit(self, method: str, header: HeaderOf, peer: str) -> Admission:
        """Admit a call, or raise the error that it ends with.

        Args:
            method: its path, "/package.Service/Method".
            header: its headers.
            peer: IP address of the other end of the connection; empty if it has none.
        """


class _Open:
    """See Admission: the permission of every call."""

    def enter(self) -> None:
        """See Admission."""

    def hold(self, withdraw: Callable[[Exception], None]) -> None:
        """See Admission."""

    def release(self, status: CallStatus) -> None:
        """See Admission."""


class OpenGate:
    """Admits every call."""

    _ADMISSION = _Open()

    def admit(self, method: str, header: HeaderOf, peer: str) -> Admission:  # noqa: ARG002 - see Gate
        """See Gate."""
        return self._ADMISSION
