"""Single calls of the HTTP/2 server, without a socket."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator

import pytest
from tests.support import http2 as h2
from tests.support.logs import Log

from tradingsignals_server.api.mapping.errors import status_of
from tradingsignals_server.api.methods import is_routine
from tradingsignals_server.domain.errors import Overloaded
from tradingsignals_server.transport.fanout.server import FanoutServer
from tradingsignals_server.transport.grpc.call import Call
from tradingsignals_server.transport.grpc.status import CallRules
from tradingsignals_server.transport.http2.limits import Limits
from tradingsignals_server.transport.http2.protocol import Http2Protocol
from tradingsignals_server.transport.methods import Unary


def calls() -> list[Call]:
    # By type: isinstance would ask `__class__` of every object, and some compute it.
    return [found for found in gc.get_objects() if type(found) is Call]


@pytest.fixture
def earlier_calls() -> Iterator[list[Call]]:
    """The garbage collector does not run; the calls of earlier tests that it has not freed."""
    gc.disable()
    yield calls()
    gc.enable()


async def _echo(request: bytes) -> bytes:
    await asyncio.sleep(0)
    return request


async def _fail(_: bytes) -> bytes:
    await asyncio.sleep(0)
    raise Overloaded(1)


async def _block(_: bytes) -> bytes:
    await asyncio.Event().wait()
    raise AssertionError


@pytest.mark.parametrize("end", ["responded", "failed", "unknown", "reset", "disconnected"])
async def test_ended_call_is_freed_without_the_garbage_collector(end: str, earlier_calls: list[Call]) -> None:
    methods = {"/responded": Unary(_echo), "/failed": Unary(_fail), "/reset": Unary(_block)}
    methods["/disconnected"] = methods["/reset"]
    log = await Log.with_entries(0)
    server = FanoutServer(methods, CallRules(status_of, is_routine), log.log_tail.subscribe)
    transport, protocol = h2.RecordingTransport(), Http2Protocol(server, Limits())
    protocol.connection_made(transport)
    protocol.data_received(h2.PREFACE + h2.settings() + h2.request(1, b"x", f"/{end}"))
    await asyncio.sleep(0)
    if end == "reset":
        protocol.data_received(h2.frame(h2.RST_STREAM, 0, 1, bytes(4)))
    elif end == "disconnected":
        protocol.connection_lost(None)
    for _ in range(5):
        await asyncio.sleep(0)
    assert not protocol.connection.streams
    assert len(calls()) == len(earlier_calls)
