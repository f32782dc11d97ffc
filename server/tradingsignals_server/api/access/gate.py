"""Admits calls by their headers: who calls, and whether the rule of the method lets it. See transport.admission."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hmac import compare_digest
from typing import Final

from ...application.access.authentication import Authenticate, Sent
from ...application.access.current import current_caller
from ...application.access.open_calls import OpenCalls
from ...domain.access import Caller, Credential, Rule
from ...domain.access_errors import RoleNotAllowed, Unauthenticated
from ...domain.errors import NotAPeer
from ...transport.admission import HeaderOf
from ...transport.grpc.status import CallStatus

EDGE_KEY: Final = "x-tradingsignals-edge"
"""Set by the edge to the secret that it shares with its servers, which believe its other headers then."""
ADDRESS_KEY: Final = "x-tradingsignals-address"
"""Set by the edge to the address of its caller."""


class CallAdmission:
    """Implements transport.admission.Admission."""

    __slots__ = ("_caller", "_held", "_open")

    def __init__(self, caller: Caller, open_calls: OpenCalls) -> None:
        self._caller = caller
        self._open = open_calls
        self._held: int | None = None

    def enter(self) -> None:
        """See Admission."""
        current_caller.set(self._caller)

    def hold(self, withdraw: Callable[[Exception], None]) -> None:
        """See Admission."""
        self._held = self._open.add(self._caller, withdraw)

    def release(self, status: CallStatus) -> None:  # noqa: ARG002 - see Admission
        """See Admission."""
        held, self._held = self._held, None
        if held is not None:
            self._open.remove(self._caller, held)


class AccessGate:
    """Implements transport.admission.Gate. A method without a rule is refused."""

    def __init__(
        self,
        rules: Mapping[str, Rule],
        authenticate: Authenticate,
        open_calls: OpenCalls,
        edge_secret: str = "",
    ) -> None:
        """Args:
        rules: of all methods, by path.
        authenticate: finds the caller.
        open_calls: keeps the calls that last.
        edge_secret: what the edge sends with each call; without one, no header of an edge is believed.
        """
        self._rules = rules
        self._authenticate = authenticate
        self._open = open_calls
        self._edge_secret = edge_secret.encode()

    def admit(self, method: str, header: HeaderOf, peer: str) -> CallAdmission:
        """See Gate.

        Raises:
            Unauthenticated: the method needs credentials, and there are none that are accepted.
            NotAllowed: the caller may not call the method, or not from where it is.
            NotAPeer: only servers of the same database may.
        """
        rule = self._rules.get(method, Rule.PEER)
        if rule is Rule.PEER:
            raise NotAPeer
        address = self._address(header, peer)
        if rule is Rule.PUBLIC:
            return CallAdmission(Caller(address=address), self._open)
        caller = self._authenticate(Sent(header("authorization"), header("x-api-key"), address))
        if not caller.may(rule):
            if caller.credential is Credential.NONE:
                raise Unauthenticated
            raise RoleNotAllowed(caller.role or "", rule)
        return CallAdmission(caller, self._open)

    def _address(self, header: HeaderOf, peer: str) -> str:
        """Return the address of the caller: what the edge says, or that of the connection without an edge."""
        if self._edge_secret:
            offered = header(EDGE_KEY)
            if offered is not None and compare_digest(offered.encode("latin-1", "replace"), self._edge_secret):
                return header(ADDRESS_KEY) or ""
        return peer
