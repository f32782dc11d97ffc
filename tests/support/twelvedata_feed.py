"""FEED=twelvedata on a fake of its API, at a time that only sleeping advances."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from tradingsignals_server.adapters.feeds.twelvedata.api import open_api
from tradingsignals_server.adapters.feeds.twelvedata.feed import TwelveDataFeed
from tradingsignals_server.domain.calendar import CalendarChoice, calendar_for
from tradingsignals_server.domain.intervals import Intervals

from .twelvedata import KEY, FakeTwelveData

MINUTES = timedelta(minutes=1)
BAR = 5 * MINUTES
TUESDAY = datetime(2024, 3, 5, tzinfo=UTC)
"""A business day in Bogota; the session is from 13:00 to 18:00 UTC."""


def at(clock: str, day: datetime = TUESDAY) -> datetime:
    """Return a time of a day, in UTC, such as "14:02:30"."""
    hour, minute, *seconds = map(int, clock.split(":"))
    return day + timedelta(hours=hour, minutes=minute, seconds=sum(seconds))


@dataclass
class FeedMarket:
    """A feed of a fake API at a fake time. `run` ends at the time `until`."""

    sink: Any
    now: datetime
    enough: type[Exception]
    symbols: Sequence[str] = ("USDCOP",)
    intervals: str = "5m"
    calendar: CalendarChoice = CalendarChoice.AUTO
    slept: list[float] = field(default_factory=list)
    problems: list[tuple[str, str | None]] = field(default_factory=list)
    on_sleep: Callable[[], None] = lambda: None

    def __post_init__(self) -> None:
        self.api = FakeTwelveData(lambda: self.now)
        self.until = self.now

    async def sleep(self, seconds: float) -> None:
        """Advance the time at once."""
        self.slept.append(seconds)
        self.now += timedelta(seconds=seconds)
        self.on_sleep()
        if self.now > self.until:
            raise self.enough
        await asyncio.sleep(0)

    async def run(self, until: datetime) -> None:
        """Run the feed until a time."""
        self.until = until
        intervals = Intervals.parse(self.intervals)
        transport = httpx.MockTransport(self.respond)
        feed = TwelveDataFeed(
            self.symbols,
            open_api=partial(open_api, "https://api.test", SecretStr(KEY), lambda: self.now, self.sleep, transport),
            clock=lambda: self.now,
            calendar_of=lambda symbol: calendar_for(symbol, self.calendar, intervals.of(symbol)),
            report_problem=lambda subject, problem: self.problems.append((subject, problem)),
            sleep=self.sleep,
            jitter=lambda: 1.0,
        )
        with pytest.raises(ExceptionGroup) as ended:
            await feed.run(self.sink)
        assert ended.value.subgroup(self.enough) is not None, ended.value
        assert ended.value.split(self.enough)[1] is None

    def respond(self, request: httpx.Request) -> httpx.Response:
        """Respond as a transport of httpx."""
        response = self.api.respond(str(request.url), request.headers["authorization"])
        if response.status == 0:
            raise httpx.ConnectError("All connection attempts failed", request=request)
        return httpx.Response(response.status, headers=dict(response.headers), content=response.body)

    @property
    def requested_at(self) -> list[datetime]:
        """The times of the requests."""
        return [request.at for request in self.api.requests]

    @property
    def times(self) -> list[datetime]:
        """The opens of the bars that were delivered, in their order."""
        return [bar.time for bar in self.sink.bars]
