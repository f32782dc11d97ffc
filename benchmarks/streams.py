"""The measured streams: the ways in which they are followed, and the calls that cause events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from time import perf_counter
from typing import Any

import grpc

from tradingsignals.v1.market_data_service_pb2 import (
    PublishBarRequest,
    PublishBarResponse,
    PublishBarsRequest,
    PublishBarsResponse,
)
from tradingsignals.v1.signal_service_pb2 import StreamSignalsRequest
from tradingsignals_server.api.mapping.to_proto import bar_message
from tradingsignals_server.domain.bars import Bar

from .generate import QUOTE
from .history import INDICATORS
from .load import STREAMS_PER_CONNECTION, Way
from .processes import posted
from .service import Peer, Service

SYMBOL = "USDCOP"
SIGNALS_METHOD = "/tradingsignals.v1.SignalService/StreamSignals"

_SERVICE = "/tradingsignals.v1.MarketDataService"


def direct(service: Service, *, streams_per_connection: int = STREAMS_PER_CONNECTION) -> Way:
    """Signals by gRPC, from the port of the server that serves streams."""
    how = "a connection each" if streams_per_connection == 1 else "shared connections"
    return Way(
        f"gRPC, {how}",
        "grpc",
        service.fanout_port,
        SIGNALS_METHOD,
        _every_signal(),
        streams_per_connection=streams_per_connection,
    )


def straight(service: Service) -> list[Way]:
    """Signals from the server without Envoy: from the fan-out server, and from grpc.aio if it has another port."""
    ways = [direct(service), direct(service, streams_per_connection=1)]
    if service.fanout_port != service.grpc_port:
        ways.append(replace(ways[0], name="gRPC, shared connections, by grpc.aio", port=service.grpc_port))
    return ways


def through_envoy(service: Service) -> list[Way]:
    """Signals through Envoy."""
    port = service.rest_port
    return [
        Way("gRPC through Envoy", "grpc", port, SIGNALS_METHOD, _every_signal()),
        Way("gRPC-Web through Envoy", "grpc-web", port, SIGNALS_METHOD, _every_signal()),
        Way("SSE through Envoy", "sse", port, f"/api/signals/stream?symbols={SYMBOL}&heartbeat_seconds=60"),
    ]


def websocket(peer: Peer) -> Way:
    """Signals of the older design."""
    return Way("WebSocket", "websocket", peer.port, "/ws/signals")


def _every_signal() -> bytes:
    return StreamSignalsRequest(symbols=[SYMBOL], heartbeat_seconds=60).SerializeToString()


class Publisher:
    """Publishes bars. Every bar of a warm symbol inside its session leads to one signal."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        # Requests are serialised before the clock starts.
        self._publish_bars: Any = channel.stream_unary(
            f"{_SERVICE}/PublishBars", request_serializer=None, response_deserializer=PublishBarsResponse.FromString
        )
        self._publish_bar: Any = channel.unary_unary(
            f"{_SERVICE}/PublishBar", request_serializer=None, response_deserializer=PublishBarResponse.FromString
        )

    def burst(self, bars: Sequence[Bar], bars_a_message: int = 1000) -> Callable[[], Awaitable[None]]:
        """A function that publishes `bars` on one stream, and returns when they are committed."""
        messages = [
            PublishBarsRequest(
                bars=[bar_message(bar) for bar in bars[start : start + bars_a_message]]
            ).SerializeToString()
            for start in range(0, len(bars), bars_a_message)
        ]

        async def publish() -> None:
            call = self._publish_bars()
            for message in messages:
                await call.write(message)
            await call.done_writing()
            response: PublishBarsResponse = await call
            if response.accepted != len(bars):
                raise RuntimeError(f"not every bar led to a signal: {response}")

        return publish

    def steadily(self, bars: Sequence[Bar], per_second: float) -> Callable[[], Awaitable[list[float]]]:
        """A function that publishes one bar after the other, `per_second` of them, and returns the time of each."""
        messages = [PublishBarRequest(bar=bar_message(bar)).SerializeToString() for bar in bars]

        async def publish() -> list[float]:
            return await steadily([partial(self._publish_bar, message) for message in messages], per_second)

        return publish


@asynccontextmanager
async def publishing(port: int) -> AsyncIterator[Publisher]:
    """A publisher directly at the server's port."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        await channel.channel_ready()
        yield Publisher(channel)


def peer_burst(peer: Peer, signals: int) -> Callable[[], Awaitable[None]]:
    """A function that makes the older design broadcast `signals` signals at once."""

    async def publish() -> None:
        await posted(peer.port, f"/api/signals/burst?count={signals}", _PEER_QUOTE)

    return publish


def peer_steadily(peer: Peer, signals: int, per_second: float) -> Callable[[], Awaitable[list[float]]]:
    """A function that makes the older design broadcast one signal after the other."""

    async def publish() -> list[float]:
        one = partial(posted, peer.port, "/api/signals/generate", _PEER_QUOTE)
        return await steadily([one] * signals, per_second)

    return publish


_PEER_QUOTE = json.dumps(QUOTE | INDICATORS)


async def steadily(calls: Sequence[Callable[[], Awaitable[Any]]], per_second: float) -> list[float]:
    """Start `per_second` of `calls`, whether or not the one before has returned; return the start of each."""
    loop = asyncio.get_running_loop()
    began: list[float] = []
    under_way = []
    start = loop.time()
    for number, call in enumerate(calls):
        await asyncio.sleep(start + number / per_second - loop.time())
        began.append(perf_counter())
        under_way.append(asyncio.ensure_future(call()))
    await asyncio.gather(*under_way)
    return began
