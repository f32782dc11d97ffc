"""Users of a service under a fault: a publisher, followers and a prober, and what they saw."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import count, islice
from math import inf
from random import Random
from time import monotonic
from typing import Any

import httpx

import tradingsignals
from tradingsignals.v1.bar_pb2 import Bar
from tradingsignals_server.api.mapping.to_proto import bar_message
from tradingsignals_server.domain.bars import Bar as DomainBar

SYMBOLS = ("BTCUSDT", "ETHUSDT", "EURUSD", "XAUUSD")
"""Symbols that are traded around the clock."""

TICK_S = 0.1
"""Pause between two bars of a symbol."""

TRY_S = 2.0
"""Time after which a publisher gives up a call and tries again."""

PROBE_S = 0.1
NO_RESPONSE = "no response"
WARMING_BARS = 105
"""Bars after which signals are made."""

MINUTE = timedelta(minutes=1)
FIRST_BAR = datetime(2024, 1, 1, tzinfo=UTC)


def bars_of(symbol: str, begin: datetime = FIRST_BAR, interval: timedelta = timedelta(minutes=5)) -> Iterator[Bar]:
    """Yield the bars of a symbol, one interval after the other, from a random walk with a seed of its own."""
    dice, close = Random(symbol), 100.0
    for number in count():
        before, close = close, close * (1.0 + dice.gauss(0.0, 0.001))
        high, low = max(before, close) * 1.0005, min(before, close) * 0.9995
        time = begin + number * interval
        yield bar_message(DomainBar(symbol, time, before, high, low, close, 1.0, interval=interval))


class Publisher:
    """Publishes the bars of a symbol, one after the other, each again and again until it is acknowledged.

    longest_wait: of a bar, from its first call to its acknowledgement, in seconds. errors: how often each was returned.
    is_silent: it publishes nothing while this is True. at_close: it publishes a bar of a minute when that has closed,
    and bars that have closed one after the other.
    """

    def __init__(self, address: str, bars: Iterator[Bar], *, at_close: bool = False) -> None:
        self.is_silent = False
        self.acknowledged: set[tuple[str, datetime]] = set()
        self.longest_wait = 0.0
        self.errors = Counter[str]()
        self._client = tradingsignals.connect(address, timeout=TRY_S)
        self._bars = bars
        self._at_close = at_close
        self._stopping = asyncio.Event()
        self._newest_success = -inf
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Warm the symbol up, then publish until `stop`; a bar that was begun is finished."""
        async with self._client:
            for bar in islice(self._bars, WARMING_BARS):
                await self._publish(bar)
            bar = next(self._bars)
            while not self._stopping.is_set():
                if not self.is_silent and (
                    not self._at_close or bar.time.ToDatetime(UTC) + MINUTE <= datetime.now(UTC)
                ):
                    await self._publish(bar)
                    bar = next(self._bars)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), TICK_S)

    def stop(self) -> None:
        """Have `run` return as soon as its newest bar is acknowledged."""
        self._stopping.set()

    async def until_success(self, since: float) -> None:
        """Wait until a call that was begun after `since`, by `monotonic`, has succeeded."""
        while self._newest_success < since:
            self._changed.clear()
            await self._changed.wait()

    def _is_due(self, bar: Bar) -> bool:
        return not self._at_close or bar.time.ToDatetime(UTC) + MINUTE <= datetime.now(UTC)

    async def _publish(self, bar: Bar) -> None:
        first = began = monotonic()
        while True:
            try:
                receipt = await self._client.publish_bar(bar)
                break
            except tradingsignals.TradingSignalsError as error:
                self.errors[error.reason or error.code.name] += 1
                await asyncio.sleep(TICK_S)
                began = monotonic()
        self.acknowledged.add((receipt.symbol, receipt.time.ToDatetime(UTC)))
        self.longest_wait = max(self.longest_wait, monotonic() - first)
        self._newest_success = began
        self._changed.set()


class Follower:
    """Follows all events from the beginning of the log, by the client that resumes by itself."""

    def __init__(self, address: str) -> None:
        self.sequences: list[int] = []
        self.longest_silence = 0.0
        self._newest_at = monotonic()
        self._client = tradingsignals.connect(address, timeout=TRY_S)
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Follow until cancelled."""
        async with self._client, self._client.follow(resume_after=0) as follower:
            async for event in follower:
                now = monotonic()
                self.longest_silence = max(self.longest_silence, now - self._newest_at)
                self._newest_at = now
                self.sequences.append(event.sequence)
                self._changed.set()

    async def until(self, sequence: int) -> None:
        """Wait until the event with that sequence was received."""
        while not self.sequences or self.sequences[-1] < sequence:
            self._changed.clear()
            await self._changed.wait()


class Prober:
    """Asks GET /health every PROBE_S seconds, and adds up for how many seconds each of its statuses was seen."""

    def __init__(self, address: str) -> None:
        self.seconds = Counter[str]()
        self._url = f"http://{address}/health"

    async def run(self) -> None:
        """Ask until cancelled."""
        async with httpx.AsyncClient(timeout=TRY_S) as rest:
            while True:
                began = monotonic()
                try:
                    status = _status((await rest.get(self._url)).json())
                except (httpx.HTTPError, ValueError):
                    status = NO_RESPONSE
                await asyncio.sleep(PROBE_S)
                self.seconds[status] += monotonic() - began  # type: ignore[assignment]  # seconds are no whole number


def _status(health: dict[str, Any]) -> str:
    """Return the status in a response, which is an error with a reason while the service is unhealthy."""
    reasons = [detail["reason"] for detail in health.get("details", ()) if "reason" in detail]
    if reasons:
        return NO_RESPONSE if reasons[0] == "SERVER_UNAVAILABLE" else "unhealthy"
    return str(health.get("status", NO_RESPONSE))
