"""The dashboard over restarts of what it stands on, and with more signals than it keeps."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest
from tests.support.browser import CHROMIUM
from tests.support.chromium import Tab
from tests.support.dashboard import Dashboard
from tests.support.dashboard_feed import SYMBOLS, Feed, signals_of
from tests.support.folders import scratch_folder
from tests.support.service import RunningService, running_service

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine"),
]

DISTURBANCES = ("kill the server", "kill the edge", "kill the edge", "kill everything", "kill the edge") * 3 + (
    *("stop", "kill the edge", "kill the edge", "kill the server", "kill the edge"),
)
SCROLLED = 3_000
MOST_ROWS = 100
"""Rows of the list that the page has at once."""


async def disturb(service: RunningService, how: str) -> None:
    """Stop or kill processes of the service, and start them again."""
    match how:
        case "kill the edge":
            os.kill(service.child("envoy").pid, signal.SIGKILL)  # the server starts it again
            return
        case "kill the server":
            await service.kill()
        case "kill everything":
            await service.kill_everything()
        case _:
            assert await service.stop() == 0
    await service.start()


async def test_restarts_of_server_and_edge_lose_and_repeat_nothing(tab: Tab) -> None:
    with scratch_folder() as folder:
        async with running_service(folder, CONFIDENCE_THRESHOLD="0.4") as service:
            feed, page = Feed(service), Dashboard(tab, service.address)
            tab.complaints.clear()
            await feed.publish(200)
            await page.open("#/live/USDCOP")
            await page.shows("#signals .list-row")
            loaded = await tab.run("performance.timeOrigin")
            for how in DISTURBANCES:
                publishing = asyncio.create_task(feed.publish(5 * len(SYMBOLS)))
                await disturb(service, how)
                await page.drawn(await publishing)
                await page.is_in("live")
            async with service.database() as database:
                rows = await database.fetch("SELECT sequence, kind FROM events ORDER BY sequence")
            log = [row["sequence"] for row in rows]
            assert log == list(range(1, len(log) + 1))
            await page.drawn(log[-1])
            expected = [row["sequence"] for row in reversed(rows) if row["kind"] == "SIGNAL"]
            await page.lists(expected)
            async with service.rest() as api:
                signals = await signals_of(api, symbol="USDCOP")
            traded = [each["sequence"] for each in signals if each["action"] != "HOLD"]
            await tab.shows(f"document.querySelector('.canvas').dataset.mark === '{traded[0]}'")
            assert await tab.run("performance.timeOrigin") == loaded, "the page was never loaded again"
            assert [each for each in tab.complaints if "Content Security Policy" in each] == []


async def test_thousands_of_signals_are_scrolled_with_few_rows(tab: Tab) -> None:
    with scratch_folder() as folder:
        async with running_service(folder) as service:
            feed, page = Feed(service, SCROLLED // len(SYMBOLS) + 100), Dashboard(tab, service.address)
            await feed.publish(SCROLLED + 150)
            await page.open("#/live/USDCOP")
            await page.shows("#signals .list-row")
            async with service.rest() as api:
                expected = [int(each["sequence"]) for each in await signals_of(api)]
            await page.lists(expected)
            drawn, rows = await page.scrolled()
            assert drawn == expected
            assert len(drawn) >= SCROLLED
            assert rows < MOST_ROWS
