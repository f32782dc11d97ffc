"""Signals on demand: GenerateSignal and generate-from-db, durable, compared with both variants of the older design.

Measured: calls a second, p99, and processor time a call, from 1, 16 and 64 clients, each on a connection of its own
that calls again after each response. First GenerateSignal by gRPC directly to the server, by grpc.aio and by the
fan-out server that the edge uses, POST /api/signals/generate as JSON through Envoy, and the same POST to the older
design (peer/); then POST /api/signals/generate-from-db through Envoy and to the older design. Every signal of ours is
committed, logged and acted on before the response. The volatile older design keeps its signals in memory, the durable
one commits an INSERT for each call. All run an LSTM of 128 that starts from zeros.

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
from .calls import beside_peers
from .load import grpc_load
from .measure import Effort, Figure, at_least
from .service import DURABLE, VOLATILE, running_database, running_peers, running_service

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
        running_service(database, effort.service_python) as service,
        running_peers(database, effort.peer_python) as peers,
    ):
        await service.publish(simulated_bars(SYMBOL, WARMING_BARS))
        straight = {
            "GenerateSignal by grpc.aio": service.grpc_port,
            "GenerateSignal by the fan-out server": service.fanout_port,
        }
        message, body = _MESSAGE.SerializeToString(), json.dumps(QUOTE)
        to_service = partial(beside_peers, effort, service=service, peers=peers)
        for clients in CLIENTS:
            others = {
                way: partial(grpc_load, port, _METHOD, message, clients, effort.seconds)
                for way, port in straight.items()
            }
            targets = {VOLATILE: at_least(0.8), DURABLE: at_least(3.0)} if clients > 1 else {DURABLE: at_least(1.0)}
            request = "POST /api/signals/generate"
            for figure in await to_service(
                "POST generate", request, clients=clients, body=body, targets=targets, others=others
            ):
                yield figure
        for clients in CLIENTS:
            targets = {VOLATILE: at_least(20.0)} if clients > 1 else {}
            for figure in await to_service(
                "POST generate-from-db", _FROM_DB, clients=clients, body="{}", targets=targets
            ):
                yield figure
