"""The dashboard while the service is away, and after it: what it says, and that every view recovers by itself."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from tests.support.browser import CHROMIUM
from tests.support.chromium import Tab
from tests.support.dashboard import Dashboard
from tests.support.dashboard_feed import SYMBOLS, Feed
from tests.support.deadlines import DEADLINE
from tests.support.service import RunningService

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")

LISTS = ("ListSignals", "ListBars", "ListSymbols", "ListActivePositions", "ListClosedPositions")
READS = (*LISTS, "GetPerformance", "ListOutcomes", "ListEquity", "GetModelInfo", "ExplainSignal", "GetAccount")
READY = {
    "#/live/USDCOP": (
        "#headline[data-sequence]",
        ".canvas canvas",
        "#positions .positions-table",
        "#signals .list-row",
    ),
    "#/state": ("[data-model]", "[data-trading=equity]"),
    "#/trust": ("[data-account]", "[data-figure]", "[data-outcome]"),
}
"""What each view shows when it is complete."""


@asynccontextmanager
async def blocked(tab: Tab, *patterns: str) -> AsyncIterator[None]:
    """Have requests whose URLs match a pattern fail, as if the network were down for them."""
    await tab.send("Network.enable")
    await tab.send("Network.setBlockedURLs", urls=list(patterns))
    try:
        yield
    finally:
        await tab.send("Network.setBlockedURLs", urls=[])


async def go(page: Dashboard, view: str) -> None:
    """Change the view as a link does, without loading the page."""
    await page.tab.run(f"location.hash = {view!r}")


@pytest.mark.parametrize("view", READY)
async def test_panels_whose_lists_could_not_be_read_recover_by_themselves(
    page: Dashboard, feed: Feed, view: str
) -> None:
    await feed.position()
    async with blocked(page.tab, *(f"*/{name}" for name in READS)):
        await page.open(view)
        await page.shows(".failed", "does not respond")
    for element in READY[view]:
        await page.shows(element)
    await page.tab.shows("!document.querySelector('.failed')")


async def test_views_first_opened_in_an_outage_recover_when_the_service_is_back(
    page: Dashboard, replayed: RunningService, api: httpx.AsyncClient, feed: Feed
) -> None:
    await feed.position()
    newest = (await api.get("/api/signals/latest")).json()["signal"]["signal_id"]
    await page.open()
    await page.tab.shows("performance.getEntriesByType('resource').some(({ name }) => name.includes('/assets/trust-'))")
    await replayed.kill()
    try:
        await page.is_in("reconnecting")
        for view, failed in (("#/state", "#models .failed"), (f"#/trust/signal/{newest}", "#outcomes .failed")):
            await go(page, view)
            await page.shows(failed)
    finally:
        await replayed.start()
    await page.is_in("live")
    for element in (*READY["#/trust"], "#explanation [data-rule]"):
        await page.shows(element)
    await go(page, "#/state")
    for element in READY["#/state"]:
        await page.shows(element)


@pytest.mark.parametrize(("view", "script"), [("#/trust", "trust"), ("#/state", "state"), ("#/live", "chart-drawing")])
async def test_view_whose_script_could_not_be_loaded_is_loaded_later(page: Dashboard, view: str, script: str) -> None:
    async with blocked(page.tab, f"*/assets/{script}-*.js"):
        await page.tab.send("Network.setCacheDisabled", cacheDisabled=True)
        await page.open(view)
        await page.shows(".failed", "could not be loaded")
    await page.tab.send("Network.setCacheDisabled", cacheDisabled=False)
    await page.shows({"trust": "[data-account]", "state": "[data-model]"}.get(script, ".canvas canvas"))


async def test_state_is_not_called_healthy_while_the_server_is_silent(
    page: Dashboard, replayed: RunningService, api: httpx.AsyncClient
) -> None:
    status = (await api.get("/health")).json()["status"]
    await page.open("#/state")
    await page.shows("#health .status", status.capitalize())
    await page.shows("#trading .status", "On")
    os.kill(replayed.pid, signal.SIGSTOP)
    try:
        await page.shows("#health .status-unknown", f"it was {status}")
        await page.shows("#trading .status-unknown", "trading was on")
        await page.shows("#servers tbody", f"unknown, was {status}")
        await page.tab.shows("!document.querySelector('.status-healthy, .status-degraded')")
        await page.shows("#symbol-health tbody", "unknown")
        await page.is_in("reconnecting")
        await page.shows(".strip", "No data since")
        assert "told to" not in await page.text(".strip")
    finally:
        os.kill(replayed.pid, signal.SIGCONT)
    await page.is_in("live")
    await page.shows(f"#health .status-{status}")
    await page.shows("#trading .status-healthy", "On")
    await page.shows("#servers tbody", status)


async def kept(api: httpx.AsyncClient, feed: Feed) -> tuple[Any, Any]:
    """Publish until the newest signal of a symbol is a BUY or SELL that keeps its open position; return both."""
    async with asyncio.timeout(DEADLINE):
        while True:
            for position in (await api.get("/api/signals/positions/active")).json()["positions"]:
                query = {"symbol": position["symbol"]}
                newest = (await api.get("/api/signals/latest", params=query)).json()["signal"]
                if "stop_loss" in newest and newest["signal_id"] != position["signal_id"]:
                    return position, newest
            await feed.publish(len(SYMBOLS))


async def test_levels_of_the_headline_and_the_chart_are_those_of_the_open_position(
    page: Dashboard, api: httpx.AsyncClient, feed: Feed
) -> None:
    position, newest = await kept(api, feed)
    assert newest["stop_loss"] != position["stop_loss"]
    await page.open(f"#/live/{position['symbol']}")
    await page.drawn(int(newest["sequence"]))
    held = "#headline [data-levels=position]"
    await page.shows(held)
    for name, price in (("stop", position["stop_loss"]), ("target", position["take_profit"])):
        level = f"document.querySelector('{held} [data-level={name}]').textContent.trim()"
        await page.tab.shows(f"{level} === '{price:,.2f}'")
    for text in (
        "did not open the position",
        f"stop {newest['stop_loss']:,.2f}, target {newest['take_profit']:,.2f}: not in force",
    ):
        await page.shows("#headline [data-levels=proposed]", text)
    levels = [position[name] for name in ("stop_loss", "entry_price", "take_profit")]
    drawn = "document.querySelector('.canvas').dataset.levels.split(' ').map(Number).join()"
    await page.tab.shows(f"{drawn} === {json.dumps(levels)}.join()")


async def test_unknown_symbol_is_said_to_be_unknown_and_leads_back(page: Dashboard, feed: Feed) -> None:
    await feed.position()
    for symbol in ("NOSUCH", "NO%20SUCH*"):
        await page.open(f"#/live/{symbol}")
        await page.shows("#headline [data-unknown]", "does not know")
        await page.tab.run("document.querySelector('#headline [data-unknown] a').click()")
        await page.shows("#headline[data-sequence]")
        assert await page.tab.run("location.hash") != f"#/live/{symbol}"
        await go(page, f"#/live/{symbol}")
        await page.shows("#headline [data-unknown]")
        await page.tab.run("document.querySelector('.views a').click()")
        await page.shows("#headline[data-sequence]")


@pytest.mark.parametrize("signal_id", ["nope", "00000000-0000-0000-0000-000000000000"])
async def test_unknown_signal_is_said_to_be_unknown_and_leads_back(page: Dashboard, signal_id: str) -> None:
    await page.open(f"#/trust/signal/{signal_id}")
    await page.shows("#explanation", f"There is no signal {signal_id}")
    assert await page.tab.run("document.querySelectorAll('#explanation .failed').length") == 0
    await page.tab.run("document.querySelector('#explanation .empty a').click()")
    await page.tab.shows("!document.querySelector('#explanation')")
    await page.shows("[data-account]")


@pytest.mark.parametrize("path", ["nosuch/place", "live/%E0%A4%A", "live/USDCOP/xx", "live/" + "W" * 500])
async def test_unknown_address_is_said_to_be_unknown(page: Dashboard, path: str) -> None:
    await page.open(f"#/{path}")
    await page.shows(".strip", f"This page has no “{path[:40]}")
    await page.shows("#headline[data-sequence]")
    for width in (320, 390, 1440):
        await page.tab.resize(width)
        await page.tab.shows(f"document.documentElement.scrollWidth <= {width}")
    assert page.tab.complaints == []
    await page.tab.run("document.querySelector('.strip a').click()")
    await page.tab.shows(
        "![...document.querySelectorAll('.strip')].some((each) => each.textContent.includes('has no'))"
    )
