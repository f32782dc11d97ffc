"""`tradingsignals replay`: publish the bars of a file to a running service, across its restarts.

Exit codes: 0, every bar was processed in the order of time, or was already stored (skipped rows are only reported);
1, the replay could not begin or continue, with a message of one line; 2, an invalid option; INCOMPLETE; INTERRUPTED.
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
from tradingsignals.v1.system_service_pb2 import GetServiceInfoResponse

from ..adapters.feeds.delivery import MarketPace, Monotonic, at_pace, pauses
from ..adapters.feeds.files import load_in_thread
from ..adapters.feeds.rows import require_bars
from ..adapters.feeds.simulate import SIMULATE
from ..adapters.feeds.tally import Tally
from ..api.mapping.to_proto import bar_message
from ..application.ports.clock import Sleep
from ..domain.bars import Bar
from ..domain.events import Disposition
from ..domain.intervals import Intervals
from .api_key import api_key, credentials
from .progress import ReplayDisplay

INCOMPLETE = 3
"""Exit code if bars were refused or stored without a decision (LATE), or if the file was read only up to a damage."""

INTERRUPTED = 130
"""Exit code after Ctrl-C, by the convention of shells."""

RETRY_SECONDS = 60.0
"""Time after which the replay gives up if the service is not available."""

_CALL_SECONDS = 30.0
_BARS_A_MESSAGE = 250

T = TypeVar("T")


class ReplayFailed(Exception):
    """The replay cannot begin or continue. The message is one line."""


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
    """Publish the bars of `file` to the service at `address` and return the exit code.

    While the service is not available, calls are retried, and bars that were not acknowledged are sent again.
    Cancellation ends the replay with a summary.

    Args:
        file: CSV, CSV.gz or Parquet.
        address: host and port.
        speed: factor by which the replay is faster than the market; 0 does not pause.
        symbol: symbol of rows without one.
        force: publish bars even for symbols that the service simulates itself.
        console: where to print; default: standard output.
        sleep: replaces asyncio.sleep in tests.
        monotonic: clock of the pace and of the retries.

    Raises:
        ReplayFailed: the service is not available for too long, or simulates bars of the same symbol itself.
        InvalidRequest: `symbol` is not valid.
        UnreadableFile: the file does not contain bars.
        TradingSignalsError: the service refuses the call.
    """
    with ReplayDisplay(console or Console(), file.name, monotonic) as display:
        require_bars(file)
        async with tradingsignals.connect(address, api_key=api_key(), credentials=credentials()) as client:
            info = await _service_info(client, address)
            simulated = frozenset() if force else await _simulated_symbols(client, info)
            interval_of = _intervals_of(info).of
            tally = Tally(await load_in_thread(file, symbol=symbol, interval_of=interval_of, on_rows=display.reading))
            try:
                service = _RetryingService(client, address, display.print_line, sleep, monotonic)
                display.update(tally)
                batches = tally.file.stream()
                if speed:
                    batches = at_pace(batches, MarketPace(speed, sleep, monotonic), service.newest_bar_time)
                async for bars in batches:
                    _refuse_simulated(bars, simulated)
                    _count(tally, bars, await service.publish(bars))
                    display.update(tally)
            except asyncio.CancelledError:
                how, code = "stopped, continues from here when started again", INTERRUPTED
            except Exception:
                if tally.bars:
                    display.conclude("aborted, continues from here when started again", tally)
                raise
            else:
                how, code = "done", INCOMPLETE if any(tally.failures()) else 0
    display.conclude(how, tally)
    return code


def _count(tally: Tally, bars: Sequence[Bar], response: PublishBarsResponse) -> None:
    """Add the response for `bars` to the tally."""
    tally.bars += len(bars)
    tally.through = bars[-1].time
    tally.dispositions += Counter(
        {
            Disposition.ACCEPTED: response.accepted,
            Disposition.WARMING_UP: response.warming_up,
            Disposition.OUTSIDE_SESSION: response.outside_session,
            Disposition.OTHER_INTERVAL: response.other_interval,
            Disposition.LATE: response.late,
            Disposition.DUPLICATE: response.duplicates,
        }
    )
    for rejection in response.rejections:
        tally.reject(bars[rejection.index], rejection.message)


async def _service_info(client: AsyncClient, address: str) -> GetServiceInfoResponse:
    try:
        return await client.service_info()
    except tradingsignals.Unavailable as error:
        raise ReplayFailed(f"no service responds at {address}; `tradingsignals up` starts one") from error


def _intervals_of(info: GetServiceInfoResponse) -> Intervals:
    """Return the intervals that the service has; an older one, which does not say, has the default."""
    try:
        text = ",".join(f"{item.symbol}={item.interval}" for item in info.bar_intervals)
        return Intervals.parse(text) if text else Intervals()
    except ValueError as error:
        raise ReplayFailed(f"the service has intervals that this program does not know: {error}") from error


async def _simulated_symbols(client: AsyncClient, info: GetServiceInfoResponse) -> frozenset[str]:
    """Return the symbols whose bars the service simulates itself."""
    if info.feed != SIMULATE.name:
        return frozenset()
    return frozenset(symbol.symbol for symbol in (await client.health()).symbols)


def _refuse_simulated(bars: Sequence[Bar], simulated: frozenset[str]) -> None:
    if both := simulated.intersection(bar.symbol for bar in bars):
        raise ReplayFailed(
            f"this service makes its own bars of {', '.join(sorted(both))} (FEED=simulate); start it with FEED=push, "
            "or insist with --force"
        )


class _RetryingService:
    """Calls of the service, with retries while it is not available."""

    def __init__(
        self, client: AsyncClient, address: str, print_line: Callable[[str], None], sleep: Sleep, monotonic: Monotonic
    ) -> None:
        self._client = client
        self._address = address
        self._print_line = print_line
        self._sleep = sleep
        self._monotonic = monotonic

    async def publish(self, bars: Sequence[Bar]) -> PublishBarsResponse:
        """Publish bars. A retry sends all of them again, and those stored by the first attempt count as duplicates."""
        messages = [bar_message(bar) for bar in bars]
        return await self._with_retries(
            lambda: self._client.publish_bars(messages, batch_size=_BARS_A_MESSAGE, timeout=_CALL_SECONDS)
        )

    async def newest_bar_time(self, symbol: str) -> datetime | None:
        """Return the open of the newest stored bar of `symbol`, or None."""

        async def newest() -> datetime | None:
            async for bar in self._client.bars(symbol, page_size=1):
                return bar.time.ToDatetime(UTC)
            return None

        return await self._with_retries(newest)

    async def _with_retries(self, call: Callable[[], Awaitable[T]]) -> T:
        """Return the result of a call, with retries for RETRY_SECONDS."""
        began = self._monotonic()
        failing = False
        for pause in pauses():
            try:
                result = await call()
            except TemporaryError as error:
                elapsed = self._monotonic() - began
                if elapsed >= RETRY_SECONDS:
                    raise ReplayFailed(f"no response from {self._address} for {elapsed:.0f} s ({error})") from error
                if not failing:
                    self._print_line(
                        f"{self._address} does not respond ({error}); trying again for {RETRY_SECONDS:.0f} s"
                    )
                failing = True
                await self._sleep(pause)
            else:
                if failing:
                    self._print_line(f"{self._address} responds again")
                return result
        raise AssertionError("pauses never end")
