"""`tradingsignals replay`: publishes the bars of a file to a running service, and outlives its restarts.

Exit codes: 0, every bar led to what it leads to in the order of time, or was stored already (rows that are not bars and
bars that are refused are reported); 1, the replay could not begin or go on, said in one line; 2, a wrong option;
INCOMPLETE; INTERRUPTED.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from rich.console import Console

import tradingsignals
from tradingsignals import AsyncClient, TemporaryError
from tradingsignals.v1.market_data_service_pb2 import PublishBarsResponse

from ..adapters.feeds.delivery import Monotonic, Pace, at_pace, pauses
from ..adapters.feeds.files import load_in_thread
from ..adapters.feeds.simulate import SIMULATE
from ..adapters.feeds.tally import Tally
from ..api.mapping.convert import bar_message
from ..application.ports.clock import Sleep
from ..domain.bars import Bar
from ..domain.events import Disposition
from .progress import ReplayDisplay

INCOMPLETE = 3
"""Exit code when bars were stored without a decision (LATE), or the file is damaged and was read up to there."""

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""

PATIENCE_SECONDS = 60.0
"""How long a service may stay away before the replay gives up."""

_CALL_SECONDS = 30.0
_BARS_A_MESSAGE = 250

T = TypeVar("T")


class ReplayFailed(Exception):
    """The replay cannot begin or go on. The message is one line."""


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
        InvalidRequest: `symbol` is none.
        UnreadableFile: the file is not one of bars.
        TradingSignalsError: the service refuses the whole call.
    """
    with ReplayDisplay(console or Console(), file.name, monotonic) as display:
        tally = Tally(await load_in_thread(file, symbol=symbol, on_rows=display.reading))
        try:
            await _publish_all(tally, address, speed, display, sleep, monotonic, force=force)
        except asyncio.CancelledError:
            how, code = "stopped, and goes on from here when started again", INTERRUPTED
        except Exception:
            if tally.bars:
                display.conclude("broken off, and goes on from here when started again", tally)
            raise
        else:
            how, code = "done", INCOMPLETE if any(tally.failures()) else 0
    display.conclude(how, tally)
    return code


async def _publish_all(
    tally: Tally,
    address: str,
    speed: float,
    display: ReplayDisplay,
    sleep: Sleep,
    monotonic: Monotonic,
    *,
    force: bool,
) -> None:
    async with tradingsignals.connect(address) as client:
        simulated = frozenset() if force else await _simulated_symbols(client, address)
        service = _PatientService(client, address, display.say, sleep, monotonic)
        display.update(tally)
        batches = tally.file.stream()
        if speed:
            batches = at_pace(batches, Pace(speed, sleep, monotonic), service.newest_bar_time)
        async for bars in batches:
            _refuse_simulated(bars, simulated)
            _count(tally, bars, await service.publish(bars))
            display.update(tally)


def _count(tally: Tally, bars: Sequence[Bar], answer: PublishBarsResponse) -> None:
    """Add the answer to some bars."""
    tally.bars += len(bars)
    tally.through = bars[-1].time
    tally.dispositions += Counter(
        {
            Disposition.ACCEPTED: answer.accepted,
            Disposition.WARMING_UP: answer.warming_up,
            Disposition.OUTSIDE_SESSION: answer.outside_session,
            Disposition.LATE: answer.late,
            Disposition.DUPLICATE: answer.duplicates,
        }
    )
    for rejection in answer.rejections:
        tally.reject(bars[rejection.index], rejection.message)


async def _simulated_symbols(client: AsyncClient, address: str) -> frozenset[str]:
    """The symbols of which the service makes the bars itself."""
    try:
        if (await client.service_info()).feed != SIMULATE.name:
            return frozenset()
        return frozenset(symbol.symbol for symbol in (await client.health()).symbols)
    except tradingsignals.Unavailable as error:
        raise ReplayFailed(f"no service answers at {address}; `tradingsignals up` starts one") from error


def _refuse_simulated(bars: Sequence[Bar], simulated: frozenset[str]) -> None:
    if both := simulated.intersection(bar.symbol for bar in bars):
        raise ReplayFailed(
            f"this service makes its own bars of {', '.join(sorted(both))} (FEED=simulate); start it with FEED=push, "
            "or insist with --force"
        )


class _PatientService:
    """A service that may go away for a while."""

    def __init__(
        self, client: AsyncClient, address: str, say: Callable[[str], None], sleep: Sleep, monotonic: Monotonic
    ) -> None:
        self._client = client
        self._address = address
        self._say = say
        self._sleep = sleep
        self._monotonic = monotonic

    async def publish(self, bars: Sequence[Bar]) -> PublishBarsResponse:
        """Send bars; if need be all of them again, whereupon those stored the first time come back as duplicates."""
        messages = [bar_message(bar) for bar in bars]
        return await self._answer_of(
            lambda: self._client.publish_bars(messages, batch_size=_BARS_A_MESSAGE, timeout=_CALL_SECONDS)
        )

    async def newest_bar_time(self, symbol: str) -> datetime | None:
        """Time of the newest bar of `symbol` that is stored."""

        async def newest() -> datetime | None:
            async for bar in self._client.bars(symbol, page_size=1):
                return bar.time.ToDatetime(UTC)
            return None

        return await self._answer_of(newest)

    async def _answer_of(self, call: Callable[[], Awaitable[T]]) -> T:
        """The answer to a call, which is made again for as long as patience lasts."""
        began = self._monotonic()
        away = False
        for pause in pauses():
            try:
                answer = await call()
            except TemporaryError as error:
                waited = self._monotonic() - began
                if waited >= PATIENCE_SECONDS:
                    raise ReplayFailed(f"no answer from {self._address} for {waited:.0f} s ({error})") from error
                if not away:
                    self._say(f"{self._address} does not answer ({error}); trying again for {PATIENCE_SECONDS:.0f} s")
                away = True
                await self._sleep(pause)
            else:
                if away:
                    self._say(f"{self._address} answers again")
                return answer
        raise AssertionError("pauses never end")
