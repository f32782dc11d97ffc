"""The dashboard at the widths of phones, tablets and desks: nothing is cut off, in any state of the connection."""

from __future__ import annotations

import asyncio
import os
import signal

import httpx
import pytest
from tests.support.bars import messages
from tests.support.browser import CHROMIUM
from tests.support.builders import walk
from tests.support.dashboard import Dashboard
from tests.support.dashboard_feed import SYMBOLS, Feed
from tests.support.deadlines import DEADLINE
from tests.support.service import RunningService

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")

WIDTHS = (320, 360, 390, 430, 700, 900, 1179, 1180, 1280, 1440, 1920)
READY = {
    "#/live/GBPCOP": "#headline .headline-levels",
    "#/live/NOSUCH": "[data-unknown]",
    "#/state": "[data-model]",
    "#/trust": "#groups tbody tr",
    "#/trust/signal/%s": "#explanation [data-rule]",
}
"""What each view shows when it is complete."""


async def fits(page: Dashboard, state: str) -> None:
    """Look at the page at each width."""
    cut = {}
    for width in WIDTHS:
        await page.tab.resize(width)
        if found := await page.cut():
            cut[width] = found
    await page.tab.resize(1440)
    assert not cut, f"{state}: {cut}"


@pytest.mark.parametrize("view", READY)
async def test_nothing_is_cut_in_any_state_of_the_connection(
    page: Dashboard, feed: Feed, api: httpx.AsyncClient, replayed: RunningService, view: str
) -> None:
    await feed.publish(100 * len(SYMBOLS))
    await feed.position()
    newest = (await api.get("/api/signals/latest")).json()["signal"]["signal_id"]
    await page.open(view % newest if "%" in view else view)
    await page.shows(READY[view])
    await fits(page, "live")
    os.kill(replayed.pid, signal.SIGSTOP)
    try:
        await page.is_in("reconnecting")
        await fits(page, "reconnecting")
    finally:
        os.kill(replayed.pid, signal.SIGCONT)
    await page.is_in("live")
    await fits(page, "live again")
    await page.tab.run("for (let timer = 0; timer < 100000; timer += 1) clearInterval(timer)")
    await page.tab.shows("Number(getComputedStyle(document.querySelector('.stopped-strip')).opacity) === 1")
    await fits(page, "not responding")


async def test_only_what_came_while_the_page_was_open_is_new_beside_the_name(page: Dashboard, feed: Feed) -> None:
    """And a row with it is as high as the others, with a price of seven digits too."""
    await page.open(f"#/live/{SYMBOLS[0]}")
    await page.shows("[data-symbol] .symbol-price")
    await page.is_in("live")
    await page.settled()
    assert await page.tab.run("document.querySelectorAll('.symbol-new').length") == 0
    async with asyncio.timeout(DEADLINE):
        while not await page.tab.run("document.querySelectorAll('.symbol-name .symbol-new').length"):
            await page.drawn(await feed.publish(len(SYMBOLS)))
    await page.tab.run("""document.querySelectorAll('.symbol-price').forEach((price) => {
        price.textContent = '1,000,000.00';
    })""")
    for width in (1440, 390):
        await page.tab.resize(width)
        heights = await page.tab.run(
            "[...document.querySelectorAll('.symbol-name')].map((name) => name.getBoundingClientRect().height)"
        )
        assert len(heights) == len(SYMBOLS)
        assert max(heights) - min(heights) < 1, f"{width}: {heights}"
        assert not await page.cut()
    await page.tab.resize(1440)


async def test_a_symbol_of_any_length_fits(page: Dashboard, replayed: RunningService) -> None:
    longest = "ABCDEFGHIJKLMNOPQRST"
    async with replayed.client() as client:
        await client.publish_bars(messages(walk(120, symbol=longest)))
    await page.open(f"#/live/{longest}")
    await page.shows("#headline .headline-levels")
    await page.shows(".symbol.selected .symbol-change", "%")
    await fits(page, "live")
    await page.tab.resize(1440)
    await page.tab.shows(
        "(({scrollWidth, clientWidth}) => scrollWidth === clientWidth)(document.querySelector('.symbol-list'))"
    )
