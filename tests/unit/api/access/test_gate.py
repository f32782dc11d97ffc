"""The matrix of access: every method, public and of the edge, by every role, with credentials in every state."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from google.protobuf.timestamp_pb2 import Timestamp
from tests.support.memory_keys import NOW, MemoryKeys, new_key

from tradingsignals.v1.bar_pb2 import Bar
from tradingsignals.v1.market_data_service_pb2 import PublishBarRequest
from tradingsignals.v1.signal_service_pb2 import GenerateSignalRequest
from tradingsignals_server.api.access.gate import (
    ADDRESS_KEY,
    CERTIFICATE_KEY,
    EDGE_KEY,
    TOKEN_KEY,
    AccessGate,
    MethodRule,
)
from tradingsignals_server.api.access.noted import NotedServicer, request_text
from tradingsignals_server.api.access.rules import MethodWithoutRule, method_rules, require_rules
from tradingsignals_server.api.contract import EDGE_SERVICES, PEER_SERVICE, SERVICES, path_of
from tradingsignals_server.application.access.audit import AuditLog
from tradingsignals_server.application.access.authentication import Authenticator, everyone_is_admin
from tradingsignals_server.application.access.current import current_caller
from tradingsignals_server.application.access.keys import KeyRing
from tradingsignals_server.application.access.limits import CallRates, TokenBuckets
from tradingsignals_server.application.access.open_calls import OpenCalls
from tradingsignals_server.domain.access import Role, RolesByName, Rule
from tradingsignals_server.domain.audit import REQUEST_CHARACTERS, AuditEntry
from tradingsignals_server.domain.errors import NotAPeer, ServiceError
from tradingsignals_server.transport.grpc.metadata import REPLAYED, response_metadata
from tradingsignals_server.transport.grpc.status import OK

TABLE = yaml.safe_load((Path(__file__).parents[4] / "protos/access.yaml").read_text("utf-8"))["methods"]
"""As it is written, not as the server reads it."""

RULE_OF = {f"/{service}/{name}": rule for service, rules in TABLE.items() for name, rule in rules.items()}
OF_EDGE = {
    path_of(method): RULE_OF[path_of(public)]
    for edge in EDGE_SERVICES.values()
    for method in edge.methods
    for service in SERVICES.values()
    for public in service.methods
    if public.name == method.name
}
METHODS = RULE_OF | OF_EDGE

RULED = {path: MethodRule(rule, path) for path, rule in method_rules().items()}

ROLES_OF = {
    "viewer": {"viewer", "publisher", "trader", "admin"},
    "publisher": {"publisher", "admin"},
    "trader": {"trader", "admin"},
    "admin": {"admin"},
    "peer": set(),
}
FORGED = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJtYWxsb3J5Iiwicm9sZSI6ImFkbWluIn0."
HOME, ELSEWHERE = "10.0.0.7", "203.0.113.9"
EDGE_SECRET = "of the edge"  # noqa: S105 - of these tests


class Callers:
    """A gate, and keys of all kinds for each role."""

    def __init__(self) -> None:
        self.keys = {}
        self.texts: dict[tuple[str, str], str] = {}
        for role in Role:
            for state in ("valid", "revoked", "expired", "wrong network"):
                key, text = new_key(
                    role,
                    lifetime=timedelta(0) if state == "expired" else timedelta(days=1),
                    networks=["10.0.0.0/8"] if state == "wrong network" else [],
                    revoked=state == "revoked",
                )
                self.keys[key.id] = key
                self.texts[role, state] = text

    async def gate(self) -> AccessGate:
        ring = KeyRing(MemoryKeys(*self.keys.values()), lambda: NOW)
        await ring.load()
        roles = RolesByName.parse("spiffe://desk.example/*=viewer")
        authenticator = Authenticator(ring, lambda: NOW, certificate_roles=roles)
        calls = OpenCalls(authenticator.lost_by)
        return AccessGate(RULED, authenticator.authenticate, calls, lambda: NOW, edge_secret=EDGE_SECRET.encode())


def reason_of(gate: AccessGate, path: str, headers: dict[str, str], peer: str = ELSEWHERE) -> str | None:
    """Return the reason with which a call is refused; None if it is admitted."""
    try:
        gate.admit(path, headers.get, peer).release(OK)
    except ServiceError as error:
        return error.reason
    return None


def expected(rule: str, state: str, role: str) -> str | None:
    if rule == "peer":
        return "NOT_A_PEER"
    if rule == "public":
        return None
    if state in {"revoked", "expired"}:
        return "UNAUTHENTICATED"
    if state == "wrong network":
        return "NETWORK_NOT_ALLOWED"
    return None if role in ROLES_OF[rule] else "ROLE_NOT_ALLOWED"


@pytest.mark.parametrize("state", ["valid", "revoked", "expired", "wrong network"])
@pytest.mark.parametrize("role", [role.value for role in Role])
async def test_each_method_is_for_the_roles_of_its_rule(role: str, state: str) -> None:
    callers = Callers()
    gate, text = await callers.gate(), callers.texts[role, state]
    for headers in ({"x-api-key": text}, {"authorization": f"Bearer {text}"}, {"authorization": f"bearer  {text}"}):
        found = {path: reason_of(gate, path, headers) for path in METHODS}
        assert found == {path: expected(rule, state, role) for path, rule in METHODS.items()}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": f"Bearer {FORGED}"},
        {"x-api-key": FORGED},
        {"x-api-key": ""},
        {"authorization": "Basic YWRtaW46YWRtaW4="},
        {"authorization": "Bearer"},
        {"authorization": ""},
        {"x-api-key": new_key(Role.ADMIN)[1]},
        {"x-api-key": "tss_"},
    ],
)
async def test_without_credentials_that_are_accepted_only_public_methods_are_served(headers: dict[str, str]) -> None:
    gate = await Callers().gate()
    refusals = {"public": None, "peer": "NOT_A_PEER"}
    found = {path: reason_of(gate, path, headers) for path in METHODS}
    assert found == {path: refusals.get(rule, "UNAUTHENTICATED") for path, rule in METHODS.items()}


async def test_unknown_method_is_refused_whoever_calls() -> None:
    callers = Callers()
    gate = await callers.gate()
    for headers in ({}, {"x-api-key": callers.texts["admin", "valid"]}):
        assert reason_of(gate, "/tradingsignals.v1.SignalService/Forgotten", headers) == "NOT_A_PEER"


async def test_address_is_what_the_edge_says_only_with_its_secret() -> None:
    callers = Callers()
    gate, key = await callers.gate(), {"x-api-key": callers.texts["viewer", "wrong network"]}
    path = "/tradingsignals.v1.SignalService/ListSignals"
    assert reason_of(gate, path, {**key, EDGE_KEY: EDGE_SECRET, ADDRESS_KEY: HOME}) is None
    assert reason_of(gate, path, key, peer=HOME) is None
    for spoofed in (
        {ADDRESS_KEY: HOME},
        {EDGE_KEY: "guessed", ADDRESS_KEY: HOME},
        {EDGE_KEY: "", ADDRESS_KEY: HOME},
        {"x-forwarded-for": HOME, "x-real-ip": HOME, "x-envoy-external-address": HOME},
        {EDGE_KEY: EDGE_SECRET, ADDRESS_KEY: ELSEWHERE, "x-forwarded-for": HOME},
        {EDGE_KEY: EDGE_SECRET},
    ):
        assert reason_of(gate, path, {**key, **spoofed}) == "NETWORK_NOT_ALLOWED"


async def test_without_a_secret_no_header_of_an_edge_is_believed() -> None:
    gate = AccessGate(RULED, everyone_is_admin, OpenCalls(lambda _: None), lambda: NOW)
    headers = {EDGE_KEY: "", ADDRESS_KEY: HOME}
    gate.admit("/tradingsignals.v1.SignalService/ListSignals", headers.get, ELSEWHERE).enter()
    assert current_caller.get().address == ELSEWHERE


async def test_everyone_may_do_everything_but_what_is_for_peers_when_access_is_open() -> None:
    gate = AccessGate(RULED, everyone_is_admin, OpenCalls(lambda _: None), lambda: NOW)
    found = {path: reason_of(gate, path, {}) for path in METHODS}
    assert found == {path: "NOT_A_PEER" if rule == "peer" else None for path, rule in METHODS.items()}


async def test_handler_knows_its_caller() -> None:
    callers = Callers()
    text = callers.texts["trader", "valid"]
    gate = await callers.gate()
    gate.admit("/tradingsignals.v1.SignalService/ListSignals", {"x-api-key": text}.get, HOME).enter()
    caller = current_caller.get()
    assert (caller.id, caller.role, caller.address) == (text.split("_")[1], Role.TRADER, HOME)
    assert text not in repr(caller)


def test_every_method_of_the_servers_has_a_rule() -> None:
    services = (*SERVICES.values(), *EDGE_SERVICES.values(), PEER_SERVICE)
    require_rules(method_rules(), [path_of(method) for service in services for method in service.methods])
    assert method_rules() == {path: Rule(rule) for path, rule in METHODS.items()}


def test_server_with_a_method_without_a_rule_does_not_start() -> None:
    with pytest.raises(MethodWithoutRule, match=r"^/a\.B/C is in no rule of protos/access\.yaml"):
        require_rules({"/a.B/D": Rule.ADMIN}, ["/a.B/D", "/a.B/C"])


async def test_refusal_is_raised_for_peers_methods_before_credentials_are_looked_at() -> None:
    gate = await Callers().gate()
    with pytest.raises(NotAPeer):
        gate.admit("/tradingsignals.peer.v1.PeerService/ProcessBars", {"authorization": "x"}.get, HOME)


class RecordedAudit(AuditLog):
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.recorded: list[tuple[AuditEntry, bool]] = []

    def record(self, entry: AuditEntry, *, merge: bool = False) -> None:
        """See AuditLog."""
        self.recorded.append((entry, merge))


SIGNALS = "/tradingsignals.v1.SignalService"


async def test_calls_that_act_and_refusals_are_recorded() -> None:
    callers = Callers()
    audit = RecordedAudit()
    gate = replace(await callers.gate(), audit=audit)
    trader = {"x-api-key": callers.texts["trader", "valid"], "x-request-id": "call-1"}
    viewer = {"x-api-key": callers.texts["viewer", "valid"]}
    for path, headers in (
        (f"{SIGNALS}/ListSignals", trader),
        (f"{SIGNALS}/GenerateSignal", trader),
        (f"{SIGNALS}/GenerateSignal", viewer),
        (f"{SIGNALS}/ListSignals", {}),
        ("/tradingsignals.v1.SystemService/GetHealth", {}),
    ):
        reason_of(gate, path, headers)
    assert [(entry.method, entry.result, entry.reason, merge) for entry, merge in audit.recorded] == [
        (f"{SIGNALS}/GenerateSignal", "OK", "", False),
        (f"{SIGNALS}/GenerateSignal", "PERMISSION_DENIED", "ROLE_NOT_ALLOWED", True),
        (f"{SIGNALS}/ListSignals", "UNAUTHENTICATED", "UNAUTHENTICATED", True),
    ]
    assert [entry.caller.role for entry, _ in audit.recorded] == [Role.TRADER, Role.VIEWER, None]
    assert not any(text in repr(audit.recorded) for text in callers.texts.values())


@pytest.mark.parametrize("replayed", [False, True])
async def test_request_of_a_call_that_acts_is_noted_for_the_audit_log(*, replayed: bool) -> None:
    class Servicer:
        async def generate_signal(self, request: GenerateSignalRequest) -> bytes:
            response_metadata.set((REPLAYED,) if replayed else ())
            return request.symbol.encode()

        def __getattr__(self, name: str) -> object:
            return name

    audit = RecordedAudit()
    gate = AccessGate(RULED, everyone_is_admin, OpenCalls(lambda _: None), lambda: NOW, audit)
    servicer = NotedServicer(SERVICES["SignalService"], Servicer(), method_rules())
    no_headers: dict[str, str] = {}
    admission = gate.admit(f"{SIGNALS}/GenerateSignal", no_headers.get, HOME)
    admission.enter()
    assert await servicer.generate_signal(GenerateSignalRequest(symbol="USDCOP", close_price=4000.5)) == b"USDCOP"
    admission.release(OK)
    ((entry, merge),) = audit.recorded
    assert json.loads(entry.request) == {"symbol": "USDCOP", "close_price": 4000.5}
    assert entry.replayed is replayed
    assert not merge
    assert len(request_text(GenerateSignalRequest(symbol="x" * 5000))) == REQUEST_CHARACTERS
    assert servicer.list_signals == "list_signals"


@pytest.mark.parametrize(("seconds", "nanos"), [(253402300800, 0), (-62135596801, 0), (0, -1), (0, 10**9)])
def test_time_that_json_cannot_express_is_noted_as_text(seconds: int, nanos: int) -> None:
    """The handler refuses it; the audit log must not fail before that."""
    request = PublishBarRequest(bar=Bar(symbol="USDCOP", time=Timestamp(seconds=seconds, nanos=nanos)))
    assert 'symbol: "USDCOP"' in request_text(request)


async def test_every_call_is_counted_against_the_rate_of_its_caller_refused_ones_too() -> None:
    callers = Callers()
    buckets = TokenBuckets(CallRates(dict.fromkeys(Role, 1.0), stranger=0.5))
    gate = replace(await callers.gate(), buckets=buckets, monotonic=lambda: 0.0)
    viewer = {"x-api-key": callers.texts["viewer", "valid"]}
    found = [reason_of(gate, f"{SIGNALS}/{name}", viewer) for name in ("ListSignals", "GenerateSignal", "ListSignals")]
    assert found == [None, "ROLE_NOT_ALLOWED", "RATE_LIMITED"]
    path = f"{SIGNALS}/ListSignals"
    guesses = [reason_of(gate, path, {"x-api-key": new_key()[1]}) for _ in range(2)]
    assert guesses == ["UNAUTHENTICATED", "RATE_LIMITED"]
    for health in (path for path, rule in METHODS.items() if rule == "public"):
        assert [reason_of(gate, health, {}) for _ in range(9)] == [None] * 9, "or a balancer would take it for dead"
    assert reason_of(gate, path, viewer, peer=HOME) == "RATE_LIMITED"
    assert reason_of(gate, path, {"x-api-key": callers.texts["trader", "valid"]}) is None


def claims(**values: object) -> str:
    return urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


async def test_tokens_and_certificates_are_believed_of_the_edge_alone() -> None:
    callers = Callers()
    gate = await callers.gate()
    path = f"{SIGNALS}/ListSignals"
    token = {"authorization": "Bearer eyJ.x.y", TOKEN_KEY: claims(sub="desk", role="viewer", exp=NOW.timestamp() + 60)}
    certificate = {CERTIFICATE_KEY: "-,spiffe://desk.example/screen"}
    of_edge = {EDGE_KEY: EDGE_SECRET, ADDRESS_KEY: HOME}
    assert reason_of(gate, path, {**of_edge, **token}) is None
    assert reason_of(gate, path, {**of_edge, **certificate}) is None
    for spoofed in (token, certificate):
        assert reason_of(gate, path, spoofed) == "UNAUTHENTICATED"
        assert reason_of(gate, path, {**spoofed, EDGE_KEY: "guessed"}) == "UNAUTHENTICATED"
    wrong = {
        "an end that is past": claims(sub="desk", role="viewer", exp=NOW.timestamp()),
        "no end": claims(sub="desk", role="viewer"),
        "an end that is no number": claims(sub="desk", role="viewer", exp="never"),
        "no object": urlsafe_b64encode(b"[]").decode(),
        "rubbish": "?",
    }
    found = {why: reason_of(gate, path, {**of_edge, **token, TOKEN_KEY: sent}) for why, sent in wrong.items()}
    assert found == dict.fromkeys(wrong, "UNAUTHENTICATED")
    for role in (None, "king", "", ["admin"]):
        sent = claims(sub="desk", role=role, exp=NOW.timestamp() + 60)
        assert reason_of(gate, path, {**of_edge, **token, TOKEN_KEY: sent}) == "ROLE_NOT_ALLOWED"


def test_first_name_of_a_certificate_that_matches_counts() -> None:
    roles = RolesByName.parse("engine.desk.example=trader, *.desk.example=viewer")
    assert str(roles) == "engine.desk.example=trader,*.desk.example=viewer"
    assert roles.of(["engine.desk.example"]) == ("engine.desk.example", Role.TRADER)
    assert roles.of(["a.desk.example", "engine.desk.example"]) == ("engine.desk.example", Role.TRADER)
    assert roles.of(["a.desk.example"]) == ("a.desk.example", Role.VIEWER)
    assert roles.of(["desk.example", "engine.desk.example.org"]) is None
