"""Slow and silent callers of the port of grpc.aio; those of the HTTP/2 server are in test_limits."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from tests.support import http2 as h2
from tests.support.deadlines import within
from tests.support.http2 import Peer, http2_peer
from tests.support.logs import Log
from tests.support.sockets import connected

from tradingsignals_server.transport.grpc import interceptors, server

from .conftest import aio_server

SHORT = {
    "grpc.server_handshake_timeout_ms": 500,
    "grpc.max_connection_idle_ms": 500,
    "grpc.max_allowed_incoming_connections": 3,
}
LIST_SIGNALS = "/tradingsignals.v1.SignalService/ListSignals"


def test_shortened_limits_are_options_of_the_server() -> None:
    assert SHORT.keys() <= dict(server.OPTIONS).keys()


@pytest.fixture
async def port(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    """The port of a server that is impatient with connections."""
    monkeypatch.setattr(server, "OPTIONS", tuple({**dict(server.OPTIONS), **SHORT}.items()))
    async with aio_server(await Log.with_entries(1)) as running:
        yield running.port


@pytest.fixture
async def patient() -> AsyncIterator[int]:
    """The port of a server with the usual limits, which a busy machine does not reach while it connects."""
    async with aio_server(await Log.with_entries(1)) as running:
        yield running.port


@pytest.mark.parametrize("sent", [b"", h2.PREFACE[:10], h2.PREFACE], ids=["nothing", "half a preface", "no SETTINGS"])
async def test_connection_without_settings_is_closed(port: int, sent: bytes) -> None:
    async with connected(port) as (reader, writer):
        writer.write(sent)
        await Peer(reader, writer).closed()


async def test_unused_connection_is_closed(port: int) -> None:
    async with http2_peer(port) as peer:
        await peer.next(h2.GOAWAY)
        await peer.closed()


@pytest.mark.parametrize("path", [LIST_SIGNALS, h2.EVENTS_PATH])
async def test_incomplete_request_is_ended(patient: int, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    monkeypatch.setattr(interceptors, "REQUEST_SECONDS", 0.3)
    async with http2_peer(patient) as peer:
        peer.send(h2.frame(h2.HEADERS, h2.END_HEADERS, 1, h2.block(h2.headers(path))), h2.frame(h2.DATA, 0, 1, b"\0"))
        assert (await peer.headers(1))["grpc-status"] == "4"


async def test_request_without_a_message_is_refused(patient: int) -> None:
    async with http2_peer(patient) as peer:
        peer.send(h2.frame(h2.HEADERS, h2.END_HEADERS, 1, h2.block(h2.headers(LIST_SIGNALS))))
        peer.send(h2.frame(h2.DATA, h2.END_STREAM, 1))
        assert (await peer.headers(1))["grpc-status"] == "3"


async def test_connections_beyond_the_limit_are_closed(port: int) -> None:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        follow: Any = channel.unary_stream(h2.EVENTS_PATH, None, None)
        call = follow(b"")
        await within(call.initial_metadata())
        async with connected(port), connected(port), connected(port) as (reader, writer):
            await Peer(reader, writer).closed()
        call.cancel()
