"""Replay: throughput of one symbol's history, every bar durable.

Measured: bars a second of `tradingsignals up --bars FILE`, where the server reads the file itself, and of
`tradingsignals replay FILE`, which publishes it to a running service through Envoy; a new database each time, an LSTM
of 128. The file is the head of ../shared/data/usdcop_m5.csv.gz (real USD/COP bars) if it exists, else bars of the
simulated market.

How: from the database afterwards: the bars committed after the first commit, over the time between the first
commit and the last. Start-up does not count, and the only other load is one count of the bars each second.
The client of `tradingsignals replay` is a Python program, which reads, serialises and sends: where it is slower than
`up --bars`, which has no client, it is the bottleneck.
"""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from functools import partial
from itertools import islice
from pathlib import Path

import asyncpg

from .bars import simulated_bars
from .measure import Effort, Figure, at_least, in_turn
from .processes import ROOT, running
from .service import CLI, Database, running_database, running_service, working_folder

BARS = 20_000
SYMBOL = "USDCOP"
REAL_BARS = ROOT.parent / "shared" / "data" / "usdcop_m5.csv.gz"
DEADLINE_SECONDS = 120.0

_COUNT = "SELECT count(*) FROM bars"
_RATE = """
    WITH commits AS (SELECT received_at, count(*) AS bars FROM bars GROUP BY received_at)
    SELECT ((sum(bars) - (array_agg(bars ORDER BY received_at))[1])
            / extract(epoch FROM max(received_at) - min(received_at)))::float8
    FROM commits
"""


async def run(effort: Effort) -> AsyncIterator[Figure]:
    """Measure what the module describes."""
    count = effort.bars(BARS)
    with working_folder() as folder:
        file = folder / "bars.csv"
        source = _write(file, count)
        runs = await in_turn(
            effort.runs, {"up --bars": partial(_by_feed, file, count), "replay": partial(_by_client, file, count)}
        )
    yield Figure(f"tradingsignals up --bars, {source}", "bars/s", runs["up --bars"], at_least(4000.0))
    yield Figure(f"tradingsignals replay, {source}", "bars/s", runs["replay"], at_least(4000.0))


async def _by_feed(file: Path, count: int) -> float:
    async with running_database() as database, running_service(database, "--bars", str(file)):
        return await _committed(database, count)


async def _by_client(file: Path, count: int) -> float:
    async with running_database() as database, running_service(database) as service:
        command = (*CLI, "replay", str(file), "--address", f"127.0.0.1:{service.rest_port}")
        async with running(command, folder=database.folder, log=database.folder / "replay.log") as process:
            await process.wait()
        return await _committed(database, count)


async def _committed(database: Database, count: int) -> float:
    """Bars a second, once all `count` of them are stored."""
    connection = await asyncpg.connect(database.dsn)
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            while await connection.fetchval(_COUNT) != count:  # noqa: ASYNC110 - a subscription would load the server more
                await asyncio.sleep(1.0)
        rate: float = await connection.fetchval(_RATE)
    finally:
        await connection.close()
    return rate


def _write(file: Path, count: int) -> str:
    """Write `count` bars; return a description of them."""
    if REAL_BARS.exists():
        with gzip.open(REAL_BARS, "rt") as real:
            file.write_text("".join(islice(real, count + 1)))
        return "real bars"
    rows = [
        f"{b.time.isoformat()},{b.symbol},{b.open},{b.high},{b.low},{b.close}" for b in simulated_bars(SYMBOL, count)
    ]
    file.write_text("\n".join(["time,symbol,open,high,low,close", *rows]) + "\n")
    return "simulated bars"
