"""Admits calls by their headers: who calls, whether the rule of the method lets it, and how often. See
transport.admission."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from hmac import compare_digest
from time import monotonic
from typing import Final

from ...application.access.audit import AuditLog
from ...application.access.authentication import Authenticate, Sent
from ...application.access.current import current_caller
from ...application.access.limits import TokenBuckets
from ...application.access.open_calls import OpenCalls
from ...application.ports.clock import Clock
from ...domain.access import Caller, Credential, Rule
from ...domain.access_errors import NotAllowed, RoleNotAllowed, Unauthenticated
from ...domain.audit import AuditEntry
from ...domain.errors import NotAPeer, ServiceError
from ...transport.admission import HeaderOf
from ...transport.grpc.metadata import REQUEST_ID_KEY, request_id
from ...transport.grpc.status import CallStatus
from ..mapping.errors import code_of

EDGE_KEY: Final = "x-tradingsignals-edge"
"""Set by the edge to the secret that it shares with its servers, which believe its other headers then."""
ADDRESS_KEY: Final = "x-tradingsignals-address"
"""Set by the edge to the address of its caller."""
TOKEN_KEY: Final = "x-tradingsignals-token"  # noqa: S105 - the name of a header
"""Set by the edge to the payload of a token that it has verified, in base64url."""
CERTIFICATE_KEY: Final = "x-tradingsignals-certificate"
"""Set by the edge to the names of the client certificate that it has verified, separated by commas."""


@dataclass(frozen=True, slots=True)
class MethodRule:
    """The rule of a method, and its name in the public contract, "package.Service/Method"."""

    rule: Rule
    name: str


class CallAdmission:
    """Implements transport.admission.Admission. The handler of a call that acts sets `request` and `replayed`."""

    __slots__ = ("_caller", "_gate", "_held", "_id", "_method", "replayed", "request")

    def __init__(self, gate: AccessGate, method: MethodRule, caller: Caller) -> None:
        self._gate = gate
        self._method = method
        self._caller = caller
        self._held: int | None = None
        self._id = ""
        self.request = ""
        self.replayed = False

    def enter(self) -> None:
        """See Admission."""
        current_caller.set(self._caller)
        if self._method.rule.acts:
            current_admission.set(self)
            self._id = request_id.get()

    def hold(self, withdraw: Callable[[Exception], None]) -> None:
        """See Admission.

        Raises:
            TooManyStreams: the caller has as many calls open as it may.
        """
        self._held = self._gate.open_calls.add(self._caller, withdraw)

    def release(self, status: CallStatus) -> None:
        """See Admission."""
        held, self._held = self._held, None
        if held is not None:
            self._gate.open_calls.remove(self._caller, held)
        if self._method.rule.acts:
            self._gate.record(
                self._method,
                AuditEntry(
                    self._gate.clock(),
                    self._caller,
                    self._method.name,
                    status.code.name,
                    status.reason,
                    self.request,
                    self._id,
                    replayed=self.replayed,
                ),
            )


current_admission: ContextVar[CallAdmission | None] = ContextVar("current_admission", default=None)
"""Of the call that is being served, if it is one that acts."""


@dataclass(frozen=True, slots=True)
class AccessGate:
    """Implements transport.admission.Gate. A method without a rule is refused.

    methods: by path. authenticate: finds the caller. open_calls: keeps the calls that last. audit: records calls that
    act, and refusals, if there is one. buckets: limit calls, if there are any. edge_secret: what the edge sends with
    each call; without one, no header of an edge is believed.
    """

    methods: Mapping[str, MethodRule]
    authenticate: Authenticate
    open_calls: OpenCalls
    clock: Clock
    audit: AuditLog | None = None
    buckets: TokenBuckets | None = None
    edge_secret: bytes = b""
    monotonic: Callable[[], float] = field(default=monotonic)

    def admit(self, method: str, header: HeaderOf, peer: str) -> CallAdmission:
        """See Gate.

        Raises:
            Unauthenticated: the method needs credentials, and there are none that are accepted.
            NotAllowed: the caller may not call the method, or not from where it is.
            RateLimited: the caller has called too often.
            NotAPeer: only servers of the same database may call the method.
        """
        found = self.methods.get(method)
        if found is None or found.rule is Rule.PEER:
            raise NotAPeer
        is_of_edge = self._is_of_edge(header)
        stranger = Caller(address=(header(ADDRESS_KEY) or "") if is_of_edge else peer)
        if found.rule is Rule.PUBLIC:
            # Health, which is never limited. A balancer, or the edge, may have the address of its callers, and would
            # take a server for dead that refuses its check.
            return CallAdmission(self, found, stranger)
        caller = stranger
        try:
            caller = self.authenticate(_sent(header, stranger.address, is_of_edge=is_of_edge))
            if not caller.may(found.rule):
                if caller.credential is Credential.NONE:
                    raise Unauthenticated
                raise RoleNotAllowed(caller.role or "", found.rule)
        except (Unauthenticated, NotAllowed) as error:
            self._take(caller)
            self._record_refusal(found, caller, error, header)
            raise
        self._take(caller)
        return CallAdmission(self, found, caller)

    def record(self, method: MethodRule, entry: AuditEntry) -> None:
        """Record a call that acts. Bars are merged: a feed of them is one entry a second."""
        if self.audit is not None:
            self.audit.record(entry, merge=method.rule is Rule.PUBLISHER)

    def _record_refusal(self, method: MethodRule, caller: Caller, error: ServiceError, header: HeaderOf) -> None:
        if self.audit is not None:
            id_ = header(REQUEST_ID_KEY) or ""
            entry = AuditEntry(self.clock(), caller, method.name, code_of(error).name, error.reason, "", id_[:128])
            self.audit.record(entry, merge=True)

    def _take(self, caller: Caller) -> None:
        if self.buckets is not None:
            self.buckets.take(caller, self.monotonic())

    def _is_of_edge(self, header: HeaderOf) -> bool:
        """Return whether the call comes from the edge, so that what it says of its caller is to be believed."""
        if not self.edge_secret or (offered := header(EDGE_KEY)) is None:
            return False
        return compare_digest(offered.encode("latin-1", "replace"), self.edge_secret)


def _sent(header: HeaderOf, address: str, *, is_of_edge: bool) -> Sent:
    authorization, api_key = header("authorization"), header("x-api-key")
    if not is_of_edge:
        return Sent(authorization, api_key, address)
    return Sent(authorization, api_key, address, header(TOKEN_KEY), header(CERTIFICATE_KEY))
