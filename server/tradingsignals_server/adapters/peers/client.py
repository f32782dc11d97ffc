"""The peer port over gRPC: PeerService for bars, and the public services for forwarded calls."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

import grpc
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from tradingsignals.v1 import bar_pb2

from ...application.access.current import current_caller
from ...application.ports.feed import BarResult
from ...application.ports.observer import current_trace
from ...application.ports.peer import PeerError, PeerGone
from ...domain.bars import Bar
from ...domain.errors import FieldViolation, NotAPeer, StorageUnavailable, restored
from ...domain.events import Disposition, Receipt
from ...internal import peer_service_pb2 as pb
from ...transport.certificates import Certificates
from ...transport.grpc.credentials import channel_to
from ...transport.grpc.metadata import (
    CALLER_KEY,
    IDEMPOTENCY_KEY,
    PEER_KEY,
    REPLAYED,
    REQUEST_ID_KEY,
    TRACEPARENT_KEY,
    idempotency_key,
    request_id,
    response_metadata,
)

CALL_SECONDS = 30.0
"""Timeout of a call with bars: as long as a commit may take."""

_PROCESS_BARS = f"/{pb.DESCRIPTOR.services_by_name['PeerService'].full_name}/ProcessBars"
_OPTIONS = (
    # The loss of a peer's machine is detected within seconds.
    ("grpc.keepalive_time_ms", 2_000),
    ("grpc.keepalive_timeout_ms", 2_000),
    ("grpc.http2.max_pings_without_data", 0),
    # A peer may be back at once.
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_retries", 0),
)
_GONE = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.DEADLINE_EXCEEDED})

_LOST = _GONE | {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN}
"""Codes that a call ends with if its connection is lost; errors of a peer with these codes have details."""

_LOST_MESSAGE = "the server that works on the symbol was lost; nothing is known to be stored, try again"

BarMessage = Callable[[Bar], bar_pb2.Bar]
"""Converts a bar to its message."""


class GrpcPeer:
    """Implements application.ports.peer.Peer over one channel, a new one for each new certificate."""

    def __init__(
        self, address: str, secret: str, bar_message: BarMessage, certificates: Certificates | None = None
    ) -> None:
        self._address = address
        self._metadata = ((PEER_KEY, secret),)
        self._bar_message = bar_message
        self._certificates = certificates
        self._identity = None if certificates is None else certificates.current
        self._channel = channel_to(address, self._identity, _OPTIONS)
        self._closing: set[asyncio.Task[None]] = set()
        """Channels with an older certificate, whose calls are ending."""

    async def process(self, bars: Sequence[Bar]) -> list[BarResult]:
        """See Peer."""
        offered = [pb.OfferedBar(bar=self._bar_message(bar), simulated=bar.simulated) for bar in bars]
        request = pb.ProcessBarsRequest(bars=offered)
        try:
            call = self._current().unary_unary(
                _PROCESS_BARS,
                request_serializer=pb.ProcessBarsRequest.SerializeToString,
                response_deserializer=pb.ProcessBarsResponse.FromString,
            )
            response = await call(request, timeout=CALL_SECONDS, metadata=self._metadata)
        except grpc.aio.AioRpcError as error:
            if error.code() in _GONE or _peer_error(error).reason in {"", NotAPeer.reason}:
                # The address may now be that of another program, or of a server of another database.
                raise PeerGone from error
            raise
        return [_result(outcome, bar) for outcome, bar in zip(response.outcomes, bars, strict=True)]

    async def forward(self, path: str, request: bytes) -> bytes:
        """See Peer."""
        method = self._current().unary_unary(path, request_serializer=None, response_deserializer=None)
        sent = [(REQUEST_ID_KEY, request_id.get())]
        if trace := current_trace.get():
            sent.append((TRACEPARENT_KEY, trace))
        if (key := idempotency_key.get()) is not None:
            sent += [(IDEMPOTENCY_KEY, key), (CALLER_KEY, current_caller.get().identity)]
        try:
            call = method(request, metadata=(*self._metadata, *sent))
            response: bytes = await call
            if key is not None:
                _pass_on(await call.initial_metadata())
        except grpc.aio.AioRpcError as error:
            if error.code() in _LOST and _status_of(error) is None:  # grpcio's words are not for callers
                raise StorageUnavailable(_LOST_MESSAGE) from error
            raise _peer_error(error) from error
        return response

    async def ready(self) -> bool:
        """See Peer."""
        channel = self._current()
        state = channel.get_state(try_to_connect=True)
        while state not in {grpc.ChannelConnectivity.READY, grpc.ChannelConnectivity.TRANSIENT_FAILURE}:
            await channel.wait_for_state_change(state)
            state = channel.get_state(try_to_connect=True)
        return state is grpc.ChannelConnectivity.READY

    async def close(self) -> None:
        """Close the channel."""
        for task in self._closing:
            task.cancel()
        await self._channel.close(None)

    def _current(self) -> grpc.aio.Channel:
        """Return the channel with the present certificate. Calls in progress end on the one before."""
        certificates = self._certificates
        if certificates is not None and certificates.current is not self._identity:
            closing = asyncio.get_running_loop().create_task(self._channel.close(CALL_SECONDS))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
            self._identity = certificates.current
            self._channel = channel_to(self._address, self._identity, _OPTIONS)
        return self._channel


class GrpcPeers:
    """The peers by address, each with one channel, kept until the end."""

    def __init__(self, secret: str, bar_message: BarMessage, certificates: Certificates | None) -> None:
        self._secret = secret
        self._bar_message = bar_message
        self._certificates = certificates
        self._peers: dict[str, GrpcPeer] = {}

    def at(self, address: str) -> GrpcPeer:
        """Return the peer at `address`, host:port."""
        if address not in self._peers:
            self._peers[address] = GrpcPeer(address, self._secret, self._bar_message, self._certificates)
        return self._peers[address]

    async def close(self) -> None:
        """Close all channels."""
        for peer in self._peers.values():
            await peer.close()


@asynccontextmanager
async def open_peers(
    secret: str, bar_message: BarMessage, certificates: Certificates | None = None
) -> AsyncIterator[GrpcPeers]:
    """Reach the peers that have `secret` (see PEER_KEY) until the end of the context, with TLS by `certificates`."""
    peers = GrpcPeers(secret, bar_message, certificates)
    try:
        yield peers
    finally:
        await peers.close()


def _pass_on(metadata: Iterable[tuple[str, str | bytes]]) -> None:
    """Give the caller of a call with an idempotency key what the peer says of its response."""
    if REPLAYED in set(metadata):
        response_metadata.set((REPLAYED,))


def _status_of(error: grpc.aio.AioRpcError) -> status_pb2.Status | None:
    found: status_pb2.Status | None = rpc_status.from_call(error)  # type: ignore[arg-type]  # it has what is read
    return found


def _peer_error(error: grpc.aio.AioRpcError) -> PeerError:
    message = error.details() or "the server that works on the symbol did not respond"
    status = _status_of(error)
    if status is None:
        status = status_pb2.Status(code=error.code().value[0], message=message)
    info = error_details_pb2.ErrorInfo()
    reason = next((info.reason for detail in status.details if detail.Unpack(info)), "")
    return PeerError(message, reason, status.SerializeToString())


def _result(outcome: pb.BarOutcome, bar: Bar) -> BarResult:
    if not outcome.HasField("receipt"):
        refusal = outcome.refusal
        violations = (FieldViolation(v.field, v.description) for v in refusal.violations)
        return restored(refusal.reason, refusal.message, refusal.metadata, violations)
    receipt = outcome.receipt
    return Receipt(
        symbol=bar.symbol,
        time=bar.time,
        disposition=Disposition(type(receipt).Disposition.Name(receipt.disposition)),
        signal_id=UUID(receipt.signal_id) if receipt.HasField("signal_id") else None,
        sequence=receipt.through_sequence,
    )
