"""`tradingsignals replay`: publishes the bars of a file to a running service, and outlives its restarts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

import tradingsignals
from tradingsignals import AsyncClient, TemporaryError
from tradingsignals.v1.market_data_service_pb2 import PublishBarsResponse

from ..adapters.feeds.delivery import Monotonic, Pace, at_pace, pauses
from ..adapters.feeds.files import SkippedRow, count_rows, stream_bars
from ..application.ports import Sleep
from ..domain.bars import Bar
from ..rpc.convert import bar_message

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""

PATIENCE_SECONDS = 60.0
"""How long a service may stay away before the replay gives up."""

_CALL_SECONDS = 30.0
_BARS_A_MESSAGE = 250
_NAMED = 5
"""Refused bars and skipped rows that are named one by one; the rest is only counted."""
_SECONDS_BETWEEN_LINES = 5.0

T = TypeVar("T")


class ReplayFailed(Exception):
    """The replay cannot begin or go on. The message is one line."""


@dataclass(slots=True)
class Tally:
    """What became of the bars so far."""

    bars: int = 0
    accepted: int = 0
    warming_up: int = 0
    outside_session: int = 0
    late: int = 0
    duplicates: int = 0
    rejected: int = 0
    skipped_rows: int = 0
    through: datetime | None = None
    reasons: list[str] = field(default_factory=list)
    """Why the first bars and rows were not taken."""

    def add(self, bars: Sequence[Bar], answer: PublishBarsResponse) -> None:
        """Count the answer to some bars."""
        self.bars += len(bars)
        self.accepted += answer.accepted
        self.warming_up += answer.warming_up
        self.outside_session += answer.outside_session
        self.late += answer.late
        self.duplicates += answer.duplicates
        self.rejected += answer.rejected
        self.through = bars[-1].time
        for rejection in answer.rejections:
            bar = bars[rejection.index]
            self._name(f"{bar.symbol} {_minute(bar.time)}: {rejection.message}")

    def skip(self, row: SkippedRow) -> None:
        """Count a row of the file that is no bar."""
        self.skipped_rows += 1
        self._name(str(row))

    def _name(self, reason: str) -> None:
        if len(self.reasons) < _NAMED:
            self.reasons.append(reason)


async def replay(
    file: Path,
    *,
    address: str,
    speed: float = 0.0,
    symbol: str | None = None,
    force: bool = False,
    console: Console | None = None,
    sleep: Sleep = asyncio.sleep,
    monotonic: Monotonic = time.monotonic,
) -> int:
    """Publish the bars of `file` to the service at `address`; returns the exit code.

    `speed` is how many times faster than the market it goes; 0 does not wait. `symbol` is that of rows that name none.
    A service that goes away is waited for, and what it did not acknowledge is sent again. Cancelling ends the replay
    with a summary.

    Raises:
        ReplayFailed: the service is not there, stays away too long, or makes bars of the same symbol itself.
        UnreadableFile: the file is not one of bars.
        TradingSignalsError: the service refuses the whole call.
    """
    console = console or Console()
    total = await asyncio.to_thread(count_rows, file)
    async with tradingsignals.connect(address) as client:
        simulated = frozenset[str]() if force else await _simulated_symbols(client, address)
        tally = Tally()
        display = _Display(console, file, total, monotonic)
        service = _PatientService(client, address, display, sleep, monotonic)
        batches = stream_bars(file, symbol=symbol, on_skipped=tally.skip)
        if speed:
            batches = at_pace(batches, Pace(speed, sleep, monotonic), service.newest_bar_time)
        try:
            with display:
                await _publish_all(batches, service, simulated, tally, display)
        except asyncio.CancelledError:
            display.conclude("stopped; started again, the same command goes on from here", tally)
            return INTERRUPTED
        except ReplayFailed:
            display.conclude("broken off", tally)
            raise
        display.conclude("done", tally)
    return 0


async def _simulated_symbols(client: AsyncClient, address: str) -> frozenset[str]:
    """The symbols that the service makes the bars of itself."""
    try:
        if (await client.service_info()).feed != "simulate":
            return frozenset()
        return frozenset(symbol.symbol for symbol in (await client.health()).symbols)
    except tradingsignals.Unavailable as error:
        raise ReplayFailed(f"no service answers at {address}; `tradingsignals up` starts one ({error.message})") from error


async def _publish_all(
    batches: AsyncIterator[list[Bar]],
    service: _PatientService,
    simulated: frozenset[str],
    tally: Tally,
    display: _Display,
) -> None:
    async for bars in batches:
        if own := simulated & {bar.symbol for bar in bars}:
            raise ReplayFailed(
                f"this service makes its own bars of {', '.join(sorted(own))} (FEED=simulate); start it with FEED=push, "
                "or insist with --force"
            )
        tally.add(bars, await service.publish(bars))
        display.update(tally)


class _PatientService:
    """A service that may go away for a while."""

    def __init__(
        self, client: AsyncClient, address: str, display: _Display, sleep: Sleep, monotonic: Monotonic
    ) -> None:
        self._client = client
        self._address = address
        self._display = display
        self._sleep = sleep
        self._monotonic = monotonic

    async def publish(self, bars: Sequence[Bar]) -> PublishBarsResponse:
        """Send bars, all of them again if need be: those that were stored the first time come back as duplicates."""
        messages = [bar_message(bar) for bar in bars]
        return await self._until_answered(
            lambda: self._client.publish_bars(messages, batch_size=_BARS_A_MESSAGE, timeout=_CALL_SECONDS)
        )

    async def newest_bar_time(self, symbol: str) -> datetime | None:
        """Time of the newest bar of `symbol` that the service has stored."""

        async def newest() -> datetime | None:
            async for bar in self._client.bars(symbol, page_size=1):
                return bar.time.ToDatetime(UTC)
            return None

        return await self._until_answered(newest)

    async def _until_answered(self, call: Callable[[], Awaitable[T]]) -> T:
        began = self._monotonic()
        pause = pauses()
        while True:
            try:
                return await call()
            except TemporaryError as error:
                away = self._monotonic() - began
                if away >= PATIENCE_SECONDS:
                    raise ReplayFailed(f"no answer from {self._address} for {away:.0f} s: {error}") from error
                if away == 0.0 or not self._display.waiting:
                    self._display.wait(error)
                await self._sleep(next(pause))


class _Display:
    """How far the replay is: a bar on a terminal, a plain line now and then anywhere else."""

    def __init__(self, console: Console, file: Path, total: int, monotonic: Monotonic) -> None:
        self._console = console
        self._file = file
        self._total = total
        self._monotonic = monotonic
        self._began = self._last_line = monotonic()
        self.waiting = False


def _minute(time: datetime) -> str:
    return time.strftime("%Y-%m-%d %H:%M")
