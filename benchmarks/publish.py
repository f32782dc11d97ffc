"""Throughput of PublishBars, to the commit.

Measured: bars a second, from the first message of a PublishBars stream to its response, which is sent when every bar is
committed with its signal and its position, and the processor time of a bar; of 100 symbols side by side, and of one
symbol. 250 bars a message, an LSTM of 128, windows full, so that every bar includes features, inference, decision and
commit.

How: directly to the server by gRPC, from this process, which is not the server. All messages are serialised before the
clock starts: the load generator only sends a message of 250 bars some 25 times a second.
`generator busy` is its share of a core.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from functools import partial
from statistics import median
from time import perf_counter, process_time
from typing import Any

import grpc

from tradingsignals.v1.market_data_service_pb2 import PublishBarsRequest, PublishBarsResponse
from tradingsignals_server.api.mapping.to_proto import bar_message
from tradingsignals_server.domain.bars import Bar

from .bars import WARMING_BARS, side_by_side
from .cpu import cpu_figures, metered
from .measure import Effort, Figure, Target, at_least, in_turn
from .service import Service, running_database, running_service

BARS_A_MESSAGE = 250
BARS = 20_000
"""Bars of one run, all symbols together."""
SYMBOLS = tuple(f"FX{number:03d}" for number in range(100))


async def run(effort: Effort) -> AsyncIterator[Figure]:
    """Measure what the module describes."""
    async with running_database() as database, running_service(database, effort.service_python) as service:
        for symbols, what, target in (
            (SYMBOLS, "PublishBars, 100 symbols", at_least(6000.0)),
            (("USDCOP",), "PublishBars, one symbol", None),
        ):
            for figure in await _published(effort, service, symbols, what, target):
                yield figure


async def _published(
    effort: Effort, service: Service, symbols: Sequence[str], what: str, target: Target | None
) -> list[Figure]:
    # Bars are cheaper before the windows are full.
    bars_each = effort.bars(BARS) // len(symbols)
    bars = side_by_side(symbols, WARMING_BARS + effort.runs * bars_each)
    warming, count = WARMING_BARS * len(symbols), bars_each * len(symbols)
    await service.publish(bars[:warming])
    shares = iter([bars[start : start + count] for start in range(warming, len(bars), count)])

    async def publish() -> tuple[float, float]:
        return await stream(service, next(shares))

    runs = (await in_turn(effort, {what: partial(metered, service.processes, publish)}))[what]
    rates = [count / run.result[0] for run in runs]
    busy = median(cpu_seconds / seconds for seconds, cpu_seconds in (run.result for run in runs))
    return [
        Figure(what, "bars/s", rates, target, besides={"generator busy": busy}),
        *cpu_figures(f"{what}, server CPU a bar", [(run.cpu_seconds, count) for run in runs]),
    ]


async def stream(service: Service, bars: Sequence[Bar]) -> tuple[float, float]:
    """Publish `bars` on one stream; return the seconds until all were committed, and this process's processor time."""
    messages = [_serialised(bars[start : start + BARS_A_MESSAGE]) for start in range(0, len(bars), BARS_A_MESSAGE)]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{service.grpc_port}") as channel:
        await channel.channel_ready()
        publish: Any = channel.stream_unary(
            "/tradingsignals.v1.MarketDataService/PublishBars",
            request_serializer=None,
            response_deserializer=PublishBarsResponse.FromString,
        )
        started, cpu_started = perf_counter(), process_time()
        call = publish()
        for message in messages:
            await call.write(message)
        await call.done_writing()
        response: PublishBarsResponse = await call
        taken = perf_counter() - started, process_time() - cpu_started
    if response.accepted != len(bars):
        raise RuntimeError(f"not every bar led to a signal: {response}")
    return taken


def _serialised(bars: Sequence[Bar]) -> bytes:
    return PublishBarsRequest(bars=[bar_message(bar) for bar in bars]).SerializeToString()
