"""Durable writes by concurrent clients, and the gain of group commit.

Measured: signals committed a second, and their processor time, of one symbol and of a hundred. By GenerateSignal from
1, 16 and 64 clients, each on a connection of its own that calls again after each response, over the symbols in turn. By
PublishBar from 1, 16 and 100 clients with a symbol each, one bar after the other. By PublishBars, 250 bars a message,
one stream for one symbol, and 1 and 4 streams at once for a hundred. The gain of group commit is the rate of many
clients over that of one, which waits for each commit alone; `signals a commit` is counted in the database: signals over
distinct commit times.

How: by gRPC directly to the server; the load generator is that of `generate`, an LSTM of 128 decides, windows full.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, cycle, islice
from statistics import median
from time import perf_counter

import asyncpg

from tradingsignals.v1.market_data_service_pb2 import PublishBarRequest
from tradingsignals.v1.signal_service_pb2 import GenerateSignalRequest
from tradingsignals_server.api.mapping.to_proto import bar_message
from tradingsignals_server.domain.bars import Bar

from .bars import WARMING_BARS, market_bars, mean_price
from .calls import call_figures
from .cpu import cpu_figures, metered
from .load import Load, grpc_load
from .load.clients import WARM_SECONDS
from .measure import Effort, Figure, Outcome, in_turn, ratio
from .service import Database, running_database, running_service
from .streams import publishing

SYMBOLS = tuple(f"FX{number:03d}" for number in range(100))
CLIENTS = (1, 16, 64)
PUBLISHERS = (1, 16, 100)
BARS_A_MESSAGE = 250
STREAMED_BARS = 10_000
MOST_BARS_A_SECOND = 2000
"""More than PublishBar can process, so that no client runs out of bars."""

GENERATE_METHOD = "/tradingsignals.v1.SignalService/GenerateSignal"
_PUBLISH_METHOD = "/tradingsignals.v1.MarketDataService/PublishBar"
_SIGNALS_A_COMMIT = """
    SELECT count(*)::float8 / greatest(count(DISTINCT time), 1) FROM events WHERE kind = 'SIGNAL' AND sequence > $1
"""

Messages = Callable[[int], Iterator[bytes]]
"""The messages of the client with that number, one after the other."""


@dataclass(frozen=True, slots=True)
class Published:
    """Bars that were published and committed in `seconds`."""

    bars: int
    seconds: float

    @property
    def per_second(self) -> float:
        """Bars committed in a second."""
        return self.bars / self.seconds


async def run(effort: Effort) -> AsyncIterator[Figure]:
    """Measure what the module describes."""
    async with running_database() as database, running_service(database, effort.service_python) as service:
        port, bars = service.grpc_port, _Bars()
        await service.publish([bar for symbol in SYMBOLS for bar in bars.next_of(symbol, WARMING_BARS)])

        def generate(symbols: Sequence[str], clients: int) -> Awaitable[Load]:
            return grpc_load(port, GENERATE_METHOD, generate_messages(symbols), clients, effort.seconds)

        def publish(clients: int) -> Awaitable[Load]:
            each = round(MOST_BARS_A_SECOND * (effort.seconds + WARM_SECONDS) / clients)
            messages = [bars.messages_of(symbol, each) for symbol in SYMBOLS[:clients]]
            return grpc_load(port, _PUBLISH_METHOD, messages.__getitem__, clients, effort.seconds)

        for what, many, load in (
            ("GenerateSignal, one symbol", CLIENTS, partial(generate, SYMBOLS[:1])),
            ("GenerateSignal, 100 symbols", CLIENTS, partial(generate, SYMBOLS)),
            ("PublishBar, a symbol each", PUBLISHERS, publish),
        ):
            sides = {
                clients: partial(_shared, database, partial(metered, service.processes, partial(load, clients)))
                for clients in many
            }
            runs = await in_turn(effort, sides)
            for clients in many:
                loads, a_commit = zip(*runs[clients], strict=True)
                rate, *others = call_figures(what, loads)
                yield replace(rate, besides={**rate.besides, "signals a commit": median(a_commit)})
                for figure in others:
                    yield figure
            rates = {clients: [load.result.per_second for load, _ in runs[clients]] for clients in many}
            yield ratio(f"group commit's gain: {what}, {many[-1]} clients to 1", rates[many[-1]], rates[1])

        each = effort.bars(STREAMED_BARS)
        for symbols, publishers in ((SYMBOLS[:1], 1), (SYMBOLS, 1), (SYMBOLS, 4)):
            name = "one symbol" if len(symbols) == 1 else f"{len(symbols)} symbols"
            what = f"PublishBars, {name}, {publishers} stream{'s' if publishers > 1 else ''}"
            stream = partial(_streamed, bars, symbols, each // len(symbols), port, publishers)
            side = partial(_shared, database, partial(metered, service.processes, stream))
            streamed = (await in_turn(effort, {what: side}))[what]
            per_second = [published.result.per_second for published, _ in streamed]
            together = median(a_commit for _, a_commit in streamed)
            yield Figure(what, "signals/s", per_second, besides={"signals a commit": together})
            cpu = [(published.cpu_seconds, published.result.bars) for published, _ in streamed]
            for figure in cpu_figures(f"{what}, server CPU a bar", cpu):
                yield figure


def generate_messages(symbols: Sequence[str]) -> Messages:
    """Requests for signals of `symbols` in turn; every client begins with another symbol."""
    messages = [
        GenerateSignalRequest(symbol=symbol, close_price=mean_price(symbol)).SerializeToString() for symbol in symbols
    ]
    return lambda client: cycle(messages[client % len(messages) :] + messages[: client % len(messages)])


async def _streamed(bars: _Bars, symbols: Sequence[str], each: int, port: int, publishers: int) -> Published:
    """Publish the next `each` bars of every symbol, side by side."""
    rows = zip(*(bars.next_of(symbol, each) for symbol in symbols), strict=True)
    return await published_at_once(port, list(chain.from_iterable(rows)), publishers)


async def published_at_once(port: int, bars: Sequence[Bar], publishers: int) -> Published:
    """Publish `bars`, split by their symbols, on `publishers` streams at once."""
    symbols = list(dict.fromkeys(bar.symbol for bar in bars))
    publisher_of = {symbol: number % publishers for number, symbol in enumerate(symbols)}
    shares = [[bar for bar in bars if publisher_of[bar.symbol] == number] for number in range(publishers)]
    async with AsyncExitStack() as stack:
        calls = []
        for share in shares:
            publisher = await stack.enter_async_context(publishing(port))
            calls.append(publisher.burst(share, BARS_A_MESSAGE))
        started = perf_counter()
        await asyncio.gather(*(call() for call in calls))
        return Published(len(bars), perf_counter() - started)


async def _shared(database: Database, load: Callable[[], Awaitable[Outcome]]) -> tuple[Outcome, float]:
    """The result of a load, and the signals in each commit meanwhile."""
    connection = await asyncpg.connect(database.dsn)
    try:
        newest = await connection.fetchval("SELECT last_sequence FROM event_log")
        outcome = await load()
        a_commit: float = await connection.fetchval(_SIGNALS_A_COMMIT, newest)
    finally:
        await connection.close()
    return outcome, a_commit


class _Bars:
    """Bars of any symbol, each once, in their order of time."""

    def __init__(self) -> None:
        self._markets: dict[str, Iterator[Bar]] = {}

    def next_of(self, symbol: str, count: int) -> list[Bar]:
        """The next `count` bars of `symbol`."""
        if symbol not in self._markets:
            self._markets[symbol] = market_bars(symbol)
        return list(islice(self._markets[symbol], count))

    def messages_of(self, symbol: str, count: int) -> Iterator[bytes]:
        """Requests that publish the bars one by one."""
        return iter(
            [PublishBarRequest(bar=bar_message(bar)).SerializeToString() for bar in self.next_of(symbol, count)]
        )
