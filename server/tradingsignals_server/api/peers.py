"""Other servers of the same database: what they are asked, and what they ask.

Bars go over PeerService, many at a time. A call about one symbol goes to its owner as it came, marked as forwarded, so
that it is never sent on twice; the owner's answer, or its error, goes back as it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from uuid import UUID

import grpc

from ..application.cluster.peer_queue import PeerGone
from ..application.cluster.router import PAUSE_SECONDS, TAKEOVER_SECONDS, Router
from ..application.ports.store import Store
from ..domain.bars import Bar, parse_symbol
from ..domain.errors import (
    BarConflict,
    FieldViolation,
    InvalidBar,
    InvalidRequest,
    NotAPeer,
    NotStorable,
    Overloaded,
    OwnerUnavailable,
    ServiceError,
    ShuttingDown,
    StorageUnavailable,
    TooManySymbols,
)
from ..domain.events import Disposition, Receipt
from ..internal import peer_service_pb2 as pb
from ..transport.grpc.interceptors import PEER_KEY, REQUEST_ID_KEY, is_forwarded, request_id
from ..transport.grpc.server import PEER_SERVICE
from .mapping import convert
from .mapping.errors import Relayed
from .mapping.validation import DEFAULT_SYMBOL

CALL_SECONDS = 30.0
"""For the answer to bars: as long as a commit may take."""

_OPTIONS = (
    # A peer whose machine is gone is found out within seconds.
    ("grpc.keepalive_time_ms", 2_000),
    ("grpc.keepalive_timeout_ms", 2_000),
    ("grpc.http2.max_pings_without_data", 0),
    # It may be back at once.
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_retries", 0),
)
_GONE = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.DEADLINE_EXCEEDED})


class GrpcPeer:
    """Implements application.cluster.lanes.Peer over one channel."""

    def __init__(self, address: str, secret: str) -> None:
        self._mark = ((PEER_KEY, secret),)
        self._channel = grpc.aio.insecure_channel(address, options=_OPTIONS)
        self._process = self._channel.unary_unary(
            f"/{PEER_SERVICE.full_name}/ProcessBars",
            request_serializer=pb.ProcessBarsRequest.SerializeToString,
            response_deserializer=pb.ProcessBarsResponse.FromString,
        )

    async def process(self, bars: Sequence[Bar]) -> list[Receipt | ServiceError]:
        """See Peer."""
        offered = [pb.OfferedBar(bar=convert.bar_message(bar), simulated=bar.simulated) for bar in bars]
        try:
            answer = await self._process(pb.ProcessBarsRequest(bars=offered), timeout=CALL_SECONDS, metadata=self._mark)
        except grpc.aio.AioRpcError as error:
            if error.code() in _GONE or Relayed(error).reason in {"", NotAPeer.reason}:
                # It may also be another program, or a server of another database, at an address that was a peer's.
                raise PeerGone from error
            raise
        return [_result_of(outcome, bar) for outcome, bar in zip(answer.outcomes, bars, strict=True)]

    async def relay(self, method: str, request: bytes) -> bytes:
        """Make a call as it came.

        Raises:
            Relayed: the peer's error.
        """
        call = self._channel.unary_unary(method, request_serializer=None, response_deserializer=None)  # as it is
        metadata = (*self._mark, (REQUEST_ID_KEY, request_id.get()))
        try:
            answer: bytes = await call(request, metadata=metadata)
        except grpc.aio.AioRpcError as error:
            raise Relayed(error) from error
        return answer

    async def ready(self) -> bool:
        """True once there is a connection; False if there can be none now."""
        state = self._channel.get_state(try_to_connect=True)
        while state not in {grpc.ChannelConnectivity.READY, grpc.ChannelConnectivity.TRANSIENT_FAILURE}:
            await self._channel.wait_for_state_change(state)
            state = self._channel.get_state(try_to_connect=True)
        return state is grpc.ChannelConnectivity.READY

    async def close(self) -> None:
        """Let go of the channel."""
        await self._channel.close(None)


class Peers:
    """The peers by their addresses, each with one channel for good."""

    def __init__(self, secret: str) -> None:
        self._secret = secret
        self._peers: dict[str, GrpcPeer] = {}

    def at(self, address: str) -> GrpcPeer:
        """The peer at `address`, host:port."""
        if address not in self._peers:
            self._peers[address] = GrpcPeer(address, self._secret)
        return self._peers[address]

    async def close(self) -> None:
        """Let go of all channels."""
        for peer in self._peers.values():
            await peer.close()


@asynccontextmanager
async def peers(secret: str) -> AsyncIterator[Peers]:
    """Channels to the peers that know `secret` (see PEER_KEY), closed at the end."""
    found = Peers(secret)
    try:
        yield found
    finally:
        await found.close()


class PeerServicer:
    """tradingsignals.peer.v1.PeerService."""

    def __init__(self, router: Router) -> None:
        self._router = router

    async def process_bars(self, request: pb.ProcessBarsRequest) -> pb.ProcessBarsResponse:
        """Bars of symbols that this server has, or can take over.

        Raises:
            NotAPeer: the caller is not a server of the same database.
        """
        if not is_forwarded():
            raise NotAPeer
        bars = [replace(convert.bar_of(offered.bar), simulated=offered.simulated) for offered in request.bars]
        return pb.ProcessBarsResponse(outcomes=map(_outcome_of, await self._router.process_here(bars)))


class AtOwner:
    """A servicer of which some methods are about one symbol, and are called where the symbol's owner is.

    `symbols` has for each of them its path and how to find the symbol of a request; None if there is none, or none that
    could be one: then it is called here, which says so.
    """

    def __init__(self, servicer: object, router: Router, others: Peers, symbols: SymbolsOf) -> None:
        self._servicer = servicer
        self._router = router
        self._peers = others
        self._symbols = symbols

    def __getattr__(self, name: str) -> Any:
        here = getattr(self._servicer, name)
        if name not in self._symbols:
            return here
        method, symbol_of = self._symbols[name]

        async def wherever(request: Any) -> Any:
            symbol = await symbol_of(request)
            if symbol is None:
                return await here(request)
            return await self._at_owner(symbol, method, request, lambda: here(request))

        return wherever

    async def _at_owner(
        self, symbol: str, method: str, request: Any, here: Callable[[], Coroutine[Any, Any, Any]]
    ) -> Any:
        """Until somebody has the symbol, or nobody has for too long."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + TAKEOVER_SECONDS
        while True:
            failure: ServiceError
            try:
                if is_forwarded():
                    await self._require_here(symbol)
                    return await here()
                address = await self._router.address_of(symbol)
                if address is None:
                    return await here()
                peer = self._peers.at(address)
                async with asyncio.timeout(deadline - loop.time()):
                    connected = await peer.ready()
                if connected:
                    return await peer.relay(method, request.SerializeToString())
                failure = OwnerUnavailable(symbol)
            except TimeoutError:
                raise OwnerUnavailable(symbol) from None
            except OwnerUnavailable as error:
                failure = error
            except Relayed as error:
                if error.reason not in _NOTHING_DONE:
                    raise  # among them a connection that broke: what was asked may be done
                failure = error
            if is_forwarded() or loop.time() > deadline:
                raise failure
            self._router.forget(symbol)
            await asyncio.sleep(PAUSE_SECONDS)

    async def _require_here(self, symbol: str) -> None:
        self._router.forget(symbol)
        if await self._router.address_of(symbol) is not None:
            raise OwnerUnavailable(symbol)


SymbolOf = Callable[[Any], Coroutine[Any, Any, str | None]]
SymbolsOf = Mapping[str, tuple[str, SymbolOf]]


async def symbol_of_request(request: Any) -> str | None:
    """The symbol that stands in the request."""
    try:
        return parse_symbol(request.symbol) if request.symbol else DEFAULT_SYMBOL
    except InvalidRequest:
        return None


def symbol_of_position(store: Store) -> SymbolOf:
    """The symbol of the position that stands in the request."""

    async def found(request: Any) -> str | None:
        try:
            position_id = UUID(request.position_id)
        except ValueError:
            return None
        position = await store.symbol_of_position(position_id)
        return None if position is None else position[0]

    return found


_NOTHING_DONE = frozenset({OwnerUnavailable.reason, ShuttingDown.reason, NotAPeer.reason})


def _outcome_of(result: Receipt | ServiceError) -> pb.BarOutcome:
    if isinstance(result, ServiceError):
        refusal = pb.BarRefusal(reason=result.reason, metadata=result.metadata)
        if isinstance(result, InvalidBar):
            refusal.violations.extend(
                pb.FieldViolation(field=v.field, description=v.description) for v in result.violations
            )
        return pb.BarOutcome(refusal=refusal)
    return pb.BarOutcome(receipt=convert.receipt_message(result))


def _result_of(outcome: pb.BarOutcome, bar: Bar) -> Receipt | ServiceError:
    if outcome.HasField("receipt"):
        receipt = outcome.receipt
        return Receipt(
            symbol=bar.symbol,
            time=bar.time,
            disposition=Disposition(type(receipt).Disposition.Name(receipt.disposition)),
            signal_id=UUID(receipt.signal_id) if receipt.HasField("signal_id") else None,
            sequence=receipt.through_sequence,
        )
    metadata = outcome.refusal.metadata
    match outcome.refusal.reason:
        case BarConflict.reason:
            return BarConflict(bar.symbol, bar.time)
        case InvalidBar.reason:
            violations = [FieldViolation(v.field, v.description) for v in outcome.refusal.violations]
            return InvalidBar(violations, **metadata)
        case TooManySymbols.reason:
            return TooManySymbols(bar.symbol, int(metadata.get("limit", "0")))
        case NotStorable.reason:
            return NotStorable(metadata.get("rule", ""))
        case OwnerUnavailable.reason:
            return OwnerUnavailable(bar.symbol)
        case ShuttingDown.reason:
            return ShuttingDown(int(metadata.get("sequence", "0")))
        case Overloaded.reason:
            return Overloaded(int(metadata.get("limit", "0")))
        case _:
            return StorageUnavailable()
