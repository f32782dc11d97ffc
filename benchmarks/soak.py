"""A long run with followers that come and go: memory, files, followers and connections stay flat.

    python -m benchmarks.soak --seconds 600 --picture docs/soak.svg

A simulated market goes by at speed, followers of every transport come and go, and calls are made. Every few seconds the
processes are measured. The exit code is 1 if something grows after the first half.
"""

from __future__ import annotations

import asyncio
import sys
from argparse import ArgumentParser
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import median
from time import monotonic

import grpc
import httpx

import tradingsignals

from .faults.setups import Setup, descendants, on_own_database
from .line_charts import draw_lines
from .processes import rss_mib
from .service import working_folder

SAMPLE_S = 3.0
FOLLOWERS = 60
LIFE_S = 1.0, 15.0
"""Shortest and longest time that a follower stays."""

CALLERS = 4
RESUMED_EVENTS = 2000
"""The greatest number of events before the newest one at which a follower resumes."""
SETTINGS = {
    "FEED": "simulate",
    "SYMBOLS": "USDCOP,EURUSD,BTCUSDT,XAUUSD",
    "SIMULATE_SPEED": "6000",
    "SESSION_CALENDAR": "auto",
    "MODEL_PATH": "",
    "SIGNAL_RETENTION_DAYS": "90",
}
ALLOWED_GROWTH = {"memory": 0.10, "count": 0.25}
"""Growth from the third quarter of a run to its last, of memory and of what is counted, that is taken for noise.

Memory grows while caches fill, and what is counted follows the followers, which come and go at random.
"""

PATHS = "/health", "/api/signals/latest", "/api/signals/history?limit=100", "/api/signals/statistics", "/api/account"
STREAMS = "/api/events", "/api/signals/stream", "/api/signals/positions/stream"


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured, over time: the values of each quantity at each of `times`, in seconds."""

    times: Sequence[float]
    values: Mapping[str, Sequence[float]]

    def growth(self, name: str) -> float:
        """Return by which fraction the median of the last quarter is above that of the third."""
        values = self.values[name]
        half, last = len(values) // 2, len(values) * 3 // 4
        before = median(values[half:last])
        return (median(values[last:]) - before) / max(before, 1.0)

    def grown(self) -> list[str]:
        """Return the names of the quantities that grew by more than is allowed."""
        return [
            name
            for name in self.values
            if self.growth(name) > ALLOWED_GROWTH["memory" if name.endswith("MiB") else "count"]
        ]


async def soak(setup: Setup, seconds: float) -> tuple[Measured, int]:
    """Use the service for so long; return what was measured, and how many events followers received."""
    received, newest = 0, 0

    async def come_and_go(number: int) -> None:
        nonlocal received
        dice = Random(number)
        while True:
            with suppress(TimeoutError, httpx.HTTPError, grpc.RpcError, tradingsignals.TradingSignalsError):
                async with asyncio.timeout(dice.uniform(*LIFE_S)):
                    async for count in _followed(setup, dice, newest):
                        received += count
            await asyncio.sleep(dice.random())

    async def call(number: int) -> None:
        dice = Random(f"caller {number}")
        async with httpx.AsyncClient(base_url=f"http://{setup.address}", timeout=10.0) as rest:
            while True:
                with suppress(httpx.HTTPError):
                    await rest.get(dice.choice(PATHS))
                await asyncio.sleep(dice.random())

    users = [asyncio.create_task(come_and_go(number)) for number in range(FOLLOWERS)]
    users += [asyncio.create_task(call(number)) for number in range(CALLERS)]
    times, values, begin = list[float](), defaultdict[str, list[float]](list), monotonic()
    try:
        while (now := monotonic() - begin) < seconds:
            sample, newest = await _sample(setup)
            times.append(now)
            for name, value in sample.items():
                values[name].append(value)
            await asyncio.sleep(SAMPLE_S)
    finally:
        for user in users:
            user.cancel()
        await asyncio.wait(users)
    return Measured(times, values), received


async def _followed(setup: Setup, dice: Random, newest: int) -> AsyncIterator[int]:
    """Follow by one of the transports, from now or from an event before `newest`; yield how many came at once."""
    how = dice.choice(("grpc", "sse", "ndjson"))
    if how == "grpc":
        async with tradingsignals.connect(setup.address) as client:
            after = None if dice.random() < 0.5 else max(0, newest - dice.randrange(RESUMED_EVENTS))
            async with client.follow(resume_after=after) as follower:
                async for _ in follower:
                    yield 1
        return
    accept = {"sse": "text/event-stream", "ndjson": "application/x-ndjson"}[how]
    rest = httpx.AsyncClient(base_url=f"http://{setup.address}", timeout=None)  # noqa: S113 - the caller ends it
    async with rest, rest.stream("GET", dice.choice(STREAMS), headers={"accept": accept}) as response:
        async for line in response.aiter_lines():
            yield line.count('"sequence"')


async def _sample(setup: Setup) -> tuple[dict[str, float], int]:
    """Measure the processes of the service, and read its metrics; return the newest sequence of the log too."""
    server, envoy = setup.process.pid, descendants(setup.process.pid, "envoy")
    async with httpx.AsyncClient(timeout=60.0) as rest:
        text = (await rest.get(f"http://{setup.metrics[0]}/metrics")).text
    newest = int(_sum(text, "tradingsignals_log_newest_sequence"))
    sample = {
        "memory of the server, MiB": rss_mib(server),
        "memory of Envoy, MiB": sum(map(rss_mib, envoy)),
        "open files of the server": _entries(server, "fd"),
        "open files of Envoy": sum(_entries(pid, "fd") for pid in envoy),
        "threads of the server": _entries(server, "task"),
        "followers": _sum(text, "tradingsignals_followers"),
        "connections to PostgreSQL": _sum(text, "tradingsignals_database_connections", 'state="closed"'),
        "queued commands": _sum(text, "tradingsignals_queued_commands"),
        "entries that the ledger is behind": _sum(text, "tradingsignals_ledger_lag_entries"),
    }
    return sample, newest


def _entries(pid: int, folder: str) -> int:
    return len(list(Path(f"/proc/{pid}/{folder}").iterdir()))


def _sum(text: str, name: str, without: str = "\0") -> float:
    """Return the sum of the samples of a metric, but for those that have a text in their labels."""
    samples = (line for line in text.splitlines() if line.startswith((f"{name} ", f"{name}{{")) and without not in line)
    return sum(float(line.rpartition(" ")[2]) for line in samples)


async def _run(seconds: float, picture: Path | None) -> int:
    with working_folder() as folder:
        async with on_own_database(folder, settings=SETTINGS) as (setup, _):
            measured, received = await soak(setup, seconds)
            async with tradingsignals.connect(setup.address) as client:
                entries = (await client.service_info()).through_sequence
    for name, values in measured.values.items():
        print(
            f"{name:<36} {values[0]:>9,.0f} {median(values):>9,.0f} {values[-1]:>9,.0f}  {measured.growth(name):+.1%}"
        )
    print(f"{entries:,} entries in the log, {received:,} events received by followers")
    if picture is not None:
        title = f"{seconds / 60:.0f} minutes: {entries:,} entries, {received:,} events to {FOLLOWERS} followers"
        draw_lines(picture, measured.times, measured.values, title)
    grown = measured.grown()
    if grown:
        print(f"grew: {', '.join(grown)}", file=sys.stderr)
    return int(bool(grown))


def main() -> int:
    """Run it from the command line."""
    parser = ArgumentParser(prog="python -m benchmarks.soak")
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--picture", type=Path, help="write the curves to this SVG")
    options = parser.parse_args()
    return asyncio.run(_run(options.seconds, options.picture))


if __name__ == "__main__":
    sys.exit(main())
