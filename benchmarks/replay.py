"""Replay: throughput of one symbol's history, every bar durable.

Measured: bars a second of `tradingsignals up --bars FILE`, where the server reads the file itself, and of
`tradingsignals replay FILE`, which publishes it to a running service through Envoy; a new database each time, an LSTM
of 128. The file is the head of ../shared/data/usdcop_m5.csv.gz (real USD/COP bars) if it exists, else bars of the
simulated market.

How: from the database afterwards: the bars committed after the first commit, over the time between the first commit and
the last. The processor time of a bar is counted from the first look at the database. Start-up does not count, and the
only other load is one count of the bars each half second. The client of `tradingsignals replay` is a Python program,
which reads, serialises and sends: where it is slower than `up --bars`, which has no client, it is the bottleneck.
"""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import asyncpg

from .bars import simulated_bars
from .cpu import cpu_figures, metered
from .measure import Effort, Figure, at_least, in_turn
from .processes import ROOT, running
from .service import CLI, Database, Service, running_database, running_service, working_folder

BARS = 20_000
SYMBOL = "USDCOP"
REAL_BARS = ROOT.parent / "shared" / "data" / "usdcop_m5.csv.gz"
DEADLINE_SECONDS = 120.0
POLL_SECONDS = 0.5

_COUNT = "SELECT count(*) FROM bars"
_RATE = """
    WITH commits AS (SELECT received_at, count(*) AS bars FROM bars GROUP BY received_at)
    SELECT ((sum(bars) - (array_agg(bars ORDER BY received_at))[1])
            / extract(epoch FROM max(received_at) - min(received_at)))::float8
    FROM commits
"""


@dataclass(frozen=True, slots=True)
class Replayed:
    """Bars a second; and processor time in seconds by program, with the number of bars that it was used for."""

    per_second: float
    cpu: tuple[Mapping[str, float], int]


async def run(effort: Effort) -> AsyncIterator[Figure]:
    """Measure what the module describes."""
    count = effort.bars(BARS)
    with working_folder() as folder:
        file = folder / "bars.csv"
        source = _write(file, count)
        ways = {
            "up --bars": partial(_by_feed, effort.service_python, file, count),
            "replay": partial(_by_client, effort.service_python, file, count),
        }
        runs = await in_turn(effort, ways)
    for way, replayed in runs.items():
        what = f"tradingsignals {way}, {source}"
        yield Figure(what, "bars/s", [run.per_second for run in replayed], at_least(4000.0))
        for figure in cpu_figures(f"{what}, server CPU a bar", [run.cpu for run in replayed]):
            yield figure


async def _by_feed(python: Path, file: Path, count: int) -> Replayed:
    async with running_database() as database, running_service(database, python, "--bars", str(file)) as service:
        return await _committed(database, service, count)


async def _by_client(python: Path, file: Path, count: int) -> Replayed:
    async with running_database() as database, running_service(database, python) as service:
        command = (*CLI, "replay", str(file), "--address", f"127.0.0.1:{service.rest_port}")
        log = database.folder / "replay.log"
        async with running(command, folder=database.folder, log=log, python=python) as process:
            replayed = await _committed(database, service, count)
            await process.wait()
        return replayed


async def _committed(database: Database, service: Service, count: int) -> Replayed:
    """Wait until all `count` bars are stored."""
    connection = await asyncpg.connect(database.dsn)
    try:
        already = await connection.fetchval(_COUNT)

        async def all_stored() -> None:
            async with asyncio.timeout(DEADLINE_SECONDS):
                while await connection.fetchval(_COUNT) != count:  # noqa: ASYNC110 - a subscription would load the server more
                    await asyncio.sleep(POLL_SECONDS)

        waited = await metered(service.processes, all_stored)
        return Replayed(await connection.fetchval(_RATE), (waited.cpu_seconds, count - already))
    finally:
        await connection.close()


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
