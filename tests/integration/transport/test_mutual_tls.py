"""The ports behind the edge with TLS: only callers with a certificate of the authorities are served."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from tests.support import http2 as h2
from tests.support.certificates import OPENSSL, SERVER_NAME, Authority, Certificate, Inner, placed
from tests.support.curl import curl_stream
from tests.support.deadlines import DEADLINE, poll, until, within
from tests.support.http2 import Frames, Peer, http2_peer
from tests.support.logs import Log
from tests.support.sockets import connected

from tradingsignals.v1.event_service_pb2 import StreamEventsRequest, StreamEventsResponse
from tradingsignals_server.adapters.envoy.process import Edge, running_edge
from tradingsignals_server.adapters.envoy.render import Address, EdgeConfig
from tradingsignals_server.transport.certificates import Certificates
from tradingsignals_server.transport.http2.limits import Limits

from .conftest import Sides, both, fanout_server, followers

pytestmark = pytest.mark.skipif(OPENSSL is None, reason="there is no openssl on this machine")

HEALTH = "/grpc.health.v1.Health/Check"
ENTRIES = 100


@pytest.fixture
def inner(tmp_path: Path) -> Inner:
    return Inner.make(tmp_path)


@dataclass
class Secured:
    """Both servers, their certificates, and who may call."""

    inner: Inner
    certificates: Certificates
    sides: Sides

    def port(self, which: str) -> int:
        """Return the port of "aio" or "fanout"."""
        return self.sides.aio if which == "aio" else self.sides.fanout

    def channel(self, which: str, certificate: Certificate | None = None) -> grpc.aio.Channel:
        """Return a channel that shows a certificate, or none."""
        options = [("grpc.ssl_target_name_override", SERVER_NAME), ("grpc.use_local_subchannel_pool", 1)]
        credentials = self.inner.credentials(certificate)
        return grpc.aio.secure_channel(f"127.0.0.1:{self.port(which)}", credentials, options=options)


@pytest.fixture
async def secured(inner: Inner) -> AsyncIterator[Secured]:
    certificates = Certificates(inner.files())
    async with both(await Log.with_entries(ENTRIES), certificates=certificates) as sides:
        yield Secured(inner, certificates, sides)


async def is_served(channel: grpc.aio.Channel) -> bool:
    """Return whether a caller gets through."""
    async with channel:
        call: Any = channel.unary_unary(HEALTH, None, None)(b"", timeout=DEADLINE)
        code = await call.code()
    assert code in {grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE}
    return bool(code is grpc.StatusCode.OK)


def follow(channel: grpc.aio.Channel, **request: Any) -> Any:
    call: Any = channel.unary_stream(h2.EVENTS_PATH, None, StreamEventsResponse.FromString)
    return call(StreamEventsRequest(**request).SerializeToString())


async def sequences(call: Any, last: int) -> list[int]:
    """Return the sequences of a stream up to `last`."""
    found: list[int] = []
    while not found or found[-1] < last:
        found += [event.sequence for event in (await within(call.read())).events]
    return found


@asynccontextmanager
async def tls_peer(secured: Secured, **more: Any) -> AsyncIterator[Peer]:
    """Connect to the fan-out server as the edge does."""
    context = secured.inner.context(secured.inner.edge)
    async with http2_peer(secured.sides.fanout, tls=context, name=SERVER_NAME, **more) as peer:
        yield peer


# ------------------------------------------------------------------------------------------------------- who is served


@pytest.mark.parametrize("which", ["aio", "fanout"])
async def test_only_callers_with_a_certificate_of_the_authorities_are_served(secured: Secured, which: str) -> None:
    inner = secured.inner
    assert not await is_served(grpc.aio.insecure_channel(f"127.0.0.1:{secured.port(which)}"))
    assert not await is_served(secured.channel(which)), "without a certificate"
    assert not await is_served(secured.channel(which, inner.stranger)), "of another authority"
    assert await is_served(secured.channel(which, inner.edge))
    assert await is_served(secured.channel(which, inner.server)), "servers call each other with theirs"


@pytest.mark.parametrize("which", ["aio", "fanout"])
async def test_certificate_that_has_expired_is_refused(secured: Secured, which: str) -> None:
    assert not await is_served(
        secured.channel(which, secured.inner.authority.certificate("expired", "DNS:edge", days=-1))
    )


@pytest.mark.parametrize("which", ["aio", "fanout"])
async def test_servers_show_a_certificate_with_their_name(secured: Secured, which: str) -> None:
    context = secured.inner.context(secured.inner.edge)
    async with connected(secured.port(which), tls=context, name=SERVER_NAME) as (_, writer):
        found = writer.get_extra_info("ssl_object")
        assert found.selected_alpn_protocol() == "h2"
        assert found.getpeercert()["subjectAltName"] == (("DNS", SERVER_NAME),)
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        async with connected(secured.port(which), tls=context, name="another-server"):
            pass


async def test_old_versions_of_tls_are_refused_by_the_fanout_server(secured: Secured) -> None:
    context = secured.inner.context(secured.inner.edge)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError):
        async with connected(secured.sides.fanout, tls=context, name=SERVER_NAME):
            pass


# ------------------------------------------------------------------------------------------------- what they are served


@pytest.mark.parametrize("which", ["aio", "fanout"])
async def test_streams_are_what_they_are_without_tls(secured: Secured, which: str) -> None:
    async with secured.channel(which, secured.inner.edge) as channel:
        call = follow(channel, resume_after=0)
        assert await sequences(call, ENTRIES) == list(range(1, ENTRIES + 1))
        secured.sides.log.append(3)
        assert await sequences(call, ENTRIES + 3) == [ENTRIES + 1, ENTRIES + 2, ENTRIES + 3]


@pytest.mark.untraced
async def test_follower_that_pauses_loses_nothing(secured: Secured) -> None:
    """The server notices that the socket takes no more, as without TLS, and keeps one response."""
    log, windows = secured.sides.log, {h2.INITIAL_WINDOW_SIZE: 2**31 - 1}
    async with tls_peer(secured, values=windows, receive_buffer=4096) as peer:
        peer.send(h2.window_update(0, 2**31 - 1 - 65_535), h2.request(1, StreamEventsRequest(resume_after=0)))
        await peer.headers(1)
        (of_server,) = secured.sides.server._connections
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined]  # it is a whole transport
        async with asyncio.timeout(DEADLINE):
            while not of_server.connection.flow.paused:
                log.append(100)
                await asyncio.sleep(0)
        assert of_server.pending_bytes < 4 * Limits().buffer_bytes
        log.append(100)
        peer.writer.transport.resume_reading()  # type: ignore[attr-defined]  # the same
        found: list[int] = []
        while not found or found[-1] < log.newest:
            found += [event.sequence for event in StreamEventsResponse.FromString(await peer.message(1)).events]
    assert found == list(range(1, log.newest + 1))


async def test_connection_error_is_sent_before_the_end(secured: Secured) -> None:
    """The end is that of TLS too, so that the caller knows that nothing was cut off."""

    def received() -> bytes:
        context = secured.inner.context(secured.inner.edge)
        with (
            socket.create_connection(("127.0.0.1", secured.sides.fanout), timeout=DEADLINE) as plain,
            context.wrap_socket(plain, server_hostname=SERVER_NAME, suppress_ragged_eofs=False) as tls,
        ):
            tls.sendall(h2.PREFACE + h2.settings() + h2.frame(h2.DATA, 0, 0, b"x"))
            return b"".join(iter(lambda: tls.recv(1 << 16), b""))

    (*_, last) = Frames().feed(await asyncio.to_thread(received))
    assert (last.type, last.code) == (h2.GOAWAY, h2.PROTOCOL_ERROR)


async def test_end_of_a_caller_ends_its_streams(secured: Secured) -> None:
    async with tls_peer(secured) as peer:
        peer.send(h2.request(1))
        await peer.headers(1)
        peer.writer.close()
        await followers(secured.sides.server, 0)


# ----------------------------------------------------------------------------------------------------- new certificates


@pytest.mark.parametrize("which", ["aio", "fanout"])
async def test_new_certificate_is_shown_and_open_streams_go_on(secured: Secured, which: str) -> None:
    inner, log = secured.inner, secured.sides.log
    async with secured.channel(which, inner.edge) as channel:
        call = follow(channel, resume_after=0)
        assert await sequences(call, ENTRIES)
        placed(inner.authority.certificate("second", f"DNS:{SERVER_NAME}", "DNS:second"), inner.server.path.parent)
        secured.certificates.refresh()
        context = inner.context(inner.edge)
        async with connected(secured.port(which), tls=context, name="second"):
            log.append()
        assert await sequences(call, ENTRIES + 1) == [ENTRIES + 1]


@pytest.mark.parametrize("which", ["aio", "fanout"])
async def test_authority_that_is_taken_away_is_not_accepted_any_more(
    secured: Secured, which: str, tmp_path: Path
) -> None:
    (tmp_path / "new").mkdir()
    renewed = Authority.make(tmp_path / "new")
    of_edge = renewed.certificate("edge", "DNS:edge")
    placed(renewed.certificate("server", f"DNS:{SERVER_NAME}"), secured.inner.server.path.parent)
    root = secured.inner.authority.own.path
    root.write_bytes(renewed.own.path.read_bytes())
    secured.certificates.refresh()
    assert not await is_served(secured.channel(which, secured.inner.edge))
    assert await is_served(secured.channel(which, of_edge))


async def test_changed_files_are_noticed_by_themselves(secured: Secured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tradingsignals_server.transport.certificates.RELOAD_SECONDS", 0.01)
    first = secured.certificates.current
    watching = asyncio.create_task(secured.certificates.run())
    placed(secured.inner.authority.certificate("second", f"DNS:{SERVER_NAME}"), secured.inner.server.path.parent)
    async with asyncio.timeout(DEADLINE):
        while secured.certificates.current is first:
            await poll()
    watching.cancel()


# ------------------------------------------------------------------------------------- handshakes that come to no end


@asynccontextmanager
async def limited(inner: Inner, **limits: Any) -> AsyncIterator[Secured]:
    """Run the fan-out server with these limits."""
    certificates = Certificates(inner.files())
    log = await Log.with_entries(0)
    async with fanout_server(log, limits=replace(Limits(), **limits), certificates=certificates) as server:
        yield Secured(inner, certificates, Sides(log, 0, server.port, server))


async def ended(reader: asyncio.StreamReader) -> None:
    """Wait until the server has closed a connection."""
    try:
        while await within(reader.read(1 << 16)):
            pass
    except ConnectionError:
        pass


@pytest.mark.parametrize("begun", [b"", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"], ids=["silent", "begun"])
async def test_handshake_that_takes_too_long_is_closed(inner: Inner, begun: bytes) -> None:
    async with limited(inner, handshake_seconds=0.2) as secured, connected(secured.sides.fanout) as (reader, writer):
        writer.write(begun)
        await ended(reader)
        # On a busy machine a whole handshake may take as long as that, too.
        assert await until(lambda: is_served(secured.channel("fanout", inner.edge)))


async def test_oldest_handshake_is_closed_for_a_new_one(inner: Inner) -> None:
    async with limited(inner, handshakes=2, handshakes_per_second=1e6, handshake_seconds=1e6) as secured:
        port = secured.sides.fanout
        async with connected(port) as (oldest, _), connected(port) as (kept, _), tls_peer(secured) as peer:
            await ended(oldest)
            peer.send(h2.request(1))
            await peer.headers(1)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(kept.read(1), 0.05)


async def test_connections_beyond_the_rate_are_closed_and_others_go_on(inner: Inner) -> None:
    limits = {"handshakes": 2, "handshakes_per_second": 0.0, "handshake_seconds": 1e6}
    async with limited(inner, **limits) as secured, tls_peer(secured) as peer:
        async with connected(secured.sides.fanout), connected(secured.sides.fanout) as (beyond, _):
            await ended(beyond)
        peer.send(h2.request(1))
        await peer.headers(1)


async def test_bytes_that_are_no_handshake_end_the_connection(secured: Secured) -> None:
    async with connected(secured.sides.fanout) as (reader, writer):
        writer.write(h2.PREFACE + h2.settings())
        await ended(reader)
    assert len(secured.sides.server._handshakes) == 0


async def test_stop_waits_for_no_handshake(inner: Inner) -> None:
    async with limited(inner) as secured:
        reader, writer = await asyncio.open_connection("127.0.0.1", secured.sides.fanout)
        assert await is_served(secured.channel("fanout", inner.edge))
    await ended(reader)
    writer.close()


# ------------------------------------------------------------------------------------------------------ behind the edge


@asynccontextmanager
async def edge(secured: Secured, folder: Path, certificate: Certificate | None, name: str = "") -> AsyncIterator[Edge]:
    """Run an edge in front of both servers that shows them a certificate, and expects a name; or one without TLS."""
    tls = None
    if certificate is not None:
        tls = replace(secured.inner.files(certificate), server_name=name or SERVER_NAME)
    config = EdgeConfig(
        Address("127.0.0.1", 0),
        Address("127.0.0.1", secured.sides.aio),
        fanout=(Address("127.0.0.1", secured.sides.fanout),),
        servers_tls=tls,
    )
    async with running_edge(config, folder, drain_seconds=0.1) as running:
        yield running


async def read(running: Edge) -> int:
    """Return the status of a call of REST."""
    async with httpx.AsyncClient(base_url=running.url, timeout=DEADLINE) as rest:
        return (await rest.get("/api/signals/history")).status_code


async def test_edge_serves_everything_over_mutual_tls(secured: Secured, tmp_path: Path) -> None:
    async with edge(secured, tmp_path / "envoy", secured.inner.edge) as running:
        await within(running.sees_all_healthy())
        assert await read(running) == 200
        async with httpx.AsyncClient(base_url=running.url, timeout=DEADLINE) as rest:
            events = {"accept": "text/event-stream"}
            async with rest.stream("GET", "/api/events", params={"resume_after": "0"}, headers=events) as response:
                assert (await anext(response.aiter_lines())).startswith("id: ")
        for protocol in ("grpc", "grpcweb"):
            address = f"127.0.0.1:{running.port}"
            async with curl_stream(address, "EventService/StreamEvents", {"resume_after": 0}, protocol=protocol) as got:
                assert (await anext(aiter(got)))["events"]
        assert await is_served(grpc.aio.insecure_channel(f"127.0.0.1:{running.port}")), "by grpc.aio"


async def test_edge_without_the_right_certificate_reaches_no_server(secured: Secured, tmp_path: Path) -> None:
    async with edge(secured, tmp_path / "plain", None) as running:
        assert await read(running) == 503
    async with edge(secured, tmp_path / "stranger", secured.inner.stranger) as running:
        assert await read(running) == 503


async def test_edge_believes_no_server_of_another_name_or_authority(secured: Secured, tmp_path: Path) -> None:
    async with edge(secured, tmp_path / "name", secured.inner.edge, "another-server") as running:
        assert await read(running) == 503
    secured.inner.authority.own.path.write_bytes(Authority.make(tmp_path, "other").own.path.read_bytes())
    async with edge(secured, tmp_path / "authority", secured.inner.edge) as running:
        assert await read(running) == 503


async def test_new_certificates_and_authorities_come_to_be_used_without_an_interruption(
    secured: Secured, tmp_path: Path
) -> None:
    """First both authorities are trusted, then the certificates are replaced, then the former authority goes."""
    inner = secured.inner
    (tmp_path / "new").mkdir()
    renewed, root = Authority.make(tmp_path / "new"), inner.authority.own.path
    async with edge(secured, tmp_path / "envoy", inner.edge) as running, httpx.AsyncClient(timeout=DEADLINE) as rest:
        await within(running.sees_all_healthy())
        events = {"accept": "text/event-stream"}
        async with rest.stream("GET", f"{running.url}/api/events", headers=events) as response:
            lines = response.aiter_lines()
            put(root, root.read_bytes() + renewed.own.path.read_bytes())
            secured.certificates.refresh()
            placed(renewed.certificate("edge", "DNS:edge"), inner.edge.path.parent)
            placed(renewed.certificate("server", f"DNS:{SERVER_NAME}"), inner.server.path.parent)
            secured.certificates.refresh()
            put(root, renewed.own.path.read_bytes())
            secured.certificates.refresh()
            secured.sides.log.append()
            while f'"sequence":"{ENTRIES + 1}"' not in await within(anext(lines)):
                pass
        for connection in list(secured.sides.server._connections):
            connection.connection.abort()
        async with asyncio.timeout(DEADLINE):
            while await read(running) != 200:  # the edge connects again, with what its files have now
                await poll()


def put(path: Path, content: bytes) -> None:
    """Replace a file in one step."""
    new = path.with_suffix(".new")
    new.write_bytes(content)
    new.rename(path)
