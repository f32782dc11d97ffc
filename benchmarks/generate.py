"""Signals on demand: GenerateSignal and generate-from-db, durable, compared with the older design in memory.

Measured: calls a second, with p50 and p99, from 1, 16 and 64 clients, each on a connection of its own that
calls again after each response. First GenerateSignal by gRPC directly to the server, by grpc.aio and by the fan-out
server that the edge uses, POST /api/signals/generate as JSON through Envoy, and the same POST to the older design
(peer/); then POST /api/signals/generate-from-db through Envoy and to the older design. Every signal of ours is
committed, logged and acted on before the response; the older design keeps its signals in memory. Both run an LSTM of
128 that starts from zeros.

How: processes warm, 100 bars of USDCOP stored, one request repeated, sides in turn, each alone on the machine.
The load generator is not the limit: it takes some ten microseconds a call (see `generator busy`, and `load_generator`
for its limit).
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from functools import partial

from tradingsignals.v1.signal_service_pb2 import GenerateSignalRequest

from .bars import WARMING_BARS, simulated_bars
from .beside_peer import beside_peer
from .load import grpc_load
from .measure import Effort, Figure, at_least
from .service import running_database, running_peer, running_service

CLIENTS = (1, 16, 64)
SYMBOL = "USDCOP"
QUOTE = {"symbol": SYMBOL, "close_price": 4250.50, "rsi": 35.5, "macd": -2.3, "macd_signal": -1.8}

_METHOD = "/tradingsignals.v1.SignalService/GenerateSignal"
_MESSAGE = GenerateSignalRequest(symbol=SYMBOL, close_price=4250.50, rsi=35.5, macd=-2.3, macd_signal=-1.8)
_FROM_DB = f"POST /api/signals/generate-from-db?symbol={SYMBOL}&lookback_bars={WARMING_BARS}"


async def run(effort: Effort) -> AsyncIterator[Figure]:
    """Measure what the module describes."""
    async with (
        running_database() as database,
        running_service(database) as service,
        running_peer(database, effort.peer_python) as peer,
    ):
        await service.publish(simulated_bars(SYMBOL, WARMING_BARS))
        message = _MESSAGE.SerializeToString()
        for clients in CLIENTS:
            straight = {
                "GenerateSignal by grpc.aio": service.grpc_port,
                "GenerateSignal by the lean path": service.fanout_port,
            }
            for figure in await beside_peer(
                effort,
                "POST generate",
                "POST /api/signals/generate",
                service=service.rest_port,
                peer=peer.port if peer else None,
                clients=clients,
                body=json.dumps(QUOTE),
                target=at_least(1.0) if clients > 1 else None,
                others={
                    way: partial(grpc_load, port, _METHOD, message, clients, effort.seconds)
                    for way, port in straight.items()
                },
            ):
                yield figure
        for clients in CLIENTS:
            for figure in await beside_peer(
                effort,
                "POST generate-from-db",
                _FROM_DB,
                service=service.rest_port,
                peer=peer.port if peer else None,
                clients=clients,
                body="{}",
                target=at_least(20.0),
            ):
                yield figure
