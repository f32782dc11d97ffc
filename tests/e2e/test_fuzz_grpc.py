"""Generated gRPC requests, as bytes, to every method of both servers: each ends with a documented status.

More of them, new ones each time: pytest tests/e2e/test_fuzz_grpc.py --hypothesis-profile=explore
"""

from __future__ import annotations

import asyncio
from base64 import b64decode
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support import http2 as h2
from tests.support.bars import messages
from tests.support.deadlines import DEADLINE
from tests.support.folders import scratch_folder
from tests.support.http2 import http2_peer
from tests.support.keys import created_key
from tests.support.service import RunningService, running_service
from tests.support.unharmed import unharmed
from tests.support.wire import requests

from tradingsignals_server.api.access.rules import method_rules
from tradingsignals_server.api.contract import EDGE_SERVICES, PEER_SERVICE, SERVICES, path_of
from tradingsignals_server.api.mapping.errors import CODES, DOMAIN
from tradingsignals_server.domain.access import Role, Rule
from tradingsignals_server.domain.bars import Bar
from tradingsignals_server.transport.grpc.body import REQUEST_BYTES

pytestmark = pytest.mark.slow

LIMIT = 4096
LIBRARY_SERVICES = (
    health_pb2.DESCRIPTOR.services_by_name["Health"],
    reflection_pb2.DESCRIPTOR.services_by_name["ServerReflection"],
)
ON_AIO_ONLY = frozenset({PEER_SERVICE, *LIBRARY_SERVICES})
METHODS: Mapping[str, MethodDescriptor] = {
    path_of(method): method
    for service in (*SERVICES.values(), *EDGE_SERVICES.values(), PEER_SERVICE, *LIBRARY_SERVICES)
    for method in service.methods
}
RULES = method_rules()
REFUSALS = frozenset(CODES.values()) - {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNAVAILABLE}
"""How a request may end that does not succeed, of a service that can do its work."""
STATUS_CODES = {code.value[0]: code for code in grpc.StatusCode}
MAX_FRAME = 16_384
EXAMPLES = max(1, settings().max_examples // 6)


@pytest.fixture(scope="module")
async def fuzzed(known_bars: list[Bar]) -> AsyncIterator[RunningService]:
    """A service that no other test uses, with bars, signals and positions; nothing sent to it may harm it."""
    with scratch_folder() as folder:
        async with running_service(folder) as service, service.client() as client:
            await client.publish_bars(messages(known_bars))
            async with unharmed(service):
                yield service
            assert not await client.list_endpoints(), "a generated URL may be one of the internet"


@pytest.mark.parametrize("path", METHODS)
@settings(max_examples=EXAMPLES)
@given(data=st.data())
async def test_any_bytes_end_with_a_documented_status(fuzzed: RunningService, path: str, data: st.DataObject) -> None:
    method = METHODS[path]
    # A server grants a window of 64 KB to the whole request.
    count, size = (data.draw(st.integers(0, 3)), 16_000) if method.client_streaming else (1, REQUEST_BYTES)
    body = b"".join(h2.framed(data.draw(requests(method.input_type))[:size]) for _ in range(count))
    ports = {"aio": fuzzed.grpc_port, "fanout": fuzzed.fanout_port}
    await asyncio.gather(*(check(side, port, path, body) for side, port in ports.items()))


@dataclass(frozen=True)
class Guarded:
    """A service with AUTH=on, and a key of the least role."""

    service: RunningService
    viewer: str


@pytest.fixture(scope="module")
async def guarded(known_bars: list[Bar]) -> AsyncIterator[Guarded]:
    with scratch_folder() as folder:
        async with running_service(folder, AUTH="on", RATE_LIMITS="*=0,none=0") as service:
            viewer, admin = await created_key(service, "viewer"), await created_key(service, "admin")
            async with service.client(admin) as client:
                await client.publish_bars(messages(known_bars))
            async with unharmed(service, viewer):
                yield Guarded(service, viewer)


@pytest.mark.parametrize("path", METHODS)
@settings(max_examples=max(1, EXAMPLES // 4))
@given(data=st.data())
async def test_any_bytes_of_a_caller_without_rights_end_with_a_documented_status(
    guarded: Guarded, path: str, data: st.DataObject
) -> None:
    body = h2.framed(data.draw(requests(METHODS[path].input_type))[:16_000])
    for key, role in (("", None), (guarded.viewer, Role.VIEWER)):
        for side, port in (("aio", guarded.service.grpc_port), ("fanout", guarded.service.fanout_port)):
            if RULES[path] is Rule.PUBLIC or (role is not None and RULES[path] is Rule.VIEWER):
                await check(side, port, path, body, key)
                continue
            trailers = await refusal(port, path, body, key)
            assert trailers is not None, (side, path, role)
            code = STATUS_CODES[int(trailers["grpc-status"])]
            if side == "fanout" and code is grpc.StatusCode.UNIMPLEMENTED:
                assert METHODS[path].client_streaming or METHODS[path].containing_service in ON_AIO_ONLY, path
                continue
            is_known = role is not None or RULES[path] is Rule.PEER
            expected = grpc.StatusCode.PERMISSION_DENIED if is_known else grpc.StatusCode.UNAUTHENTICATED
            assert code is expected, (side, path, role, trailers.get("grpc-message"))


async def check(side: str, port: int, path: str, body: bytes, key: str = "") -> None:
    """Send a request, and check that it succeeds, begins to stream, or is refused as documented."""
    trailers = await refusal(port, path, body, key)
    if trailers is None:
        return
    code = STATUS_CODES[int(trailers["grpc-status"])]
    what = (side, path, code, trailers.get("grpc-message"))
    service = METHODS[path].containing_service
    if code is grpc.StatusCode.UNIMPLEMENTED:
        assert side == "fanout", what
        assert METHODS[path].client_streaming or service in ON_AIO_ONLY, what
        return
    assert code in REFUSALS, what
    if code is grpc.StatusCode.NOT_FOUND and service in LIBRARY_SERVICES:
        return  # by the protocol of health checks
    details = trailers["grpc-status-details-bin"]
    assert len(trailers["grpc-message"]) + len(details) < LIMIT, what
    info = error_details_pb2.ErrorInfo()
    status = status_pb2.Status.FromString(b64decode(details + "=" * (-len(details) % 4)))
    assert status.details[0].Unpack(info), what
    assert info.domain == DOMAIN, what
    assert info.reason not in {"", "INTERNAL_ERROR"}, what


async def refusal(port: int, path: str, body: bytes, key: str) -> dict[str, str] | None:
    """Return the trailers that a call ended with; None if it succeeded, or has begun to stream."""
    async with http2_peer(port) as peer:
        peer.send(h2.frame(h2.HEADERS, h2.END_HEADERS, 1, h2.block(h2.headers(path, x_api_key=key or None))))
        pieces = [body[at : at + MAX_FRAME] for at in range(0, len(body), MAX_FRAME)]
        peer.send(*(h2.frame(h2.DATA, 0, 1, piece) for piece in pieces), h2.frame(h2.DATA, h2.END_STREAM, 1))
        first = await peer.next(h2.HEADERS, 1)
        headers = peer.decoded(first)
        if not first.flags & h2.END_STREAM:
            # A stream of the log sends nothing more until there is something.
            try:
                async with asyncio.timeout(0.05 if "x-epoch" in headers else DEADLINE):
                    last = await peer.next({h2.DATA, h2.HEADERS}, 1)
            except TimeoutError:
                assert "x-epoch" in headers, path
                return None
            if last.type == h2.DATA:
                return None
            headers = peer.decoded(last)
        return None if headers["grpc-status"] == "0" else headers
