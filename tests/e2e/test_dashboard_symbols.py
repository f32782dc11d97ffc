"""The dashboard's list of symbols when there are many: all of them, with their prices, and the same as over REST."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from tests.support.bars import messages
from tests.support.browser import CHROMIUM
from tests.support.builders import bar
from tests.support.chromium import Tab
from tests.support.dashboard import Dashboard
from tests.support.dashboard_feed import all_of
from tests.support.folders import scratch_folder
from tests.support.publishing import published
from tests.support.service import RunningService, running_service

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")

MANY = 130
NAMES = [f"S{number:03d}COP" for number in range(MANY)]
BARS = 3
ROWS = """Object.fromEntries([...document.querySelectorAll('[data-symbol]')].map((row) =>
    [row.dataset.symbol, row.querySelector('.symbol-price').textContent]))"""

SELECTED_IN_SIGHT = """(() => {
    const placed = (of) => document.querySelector(of).getBoundingClientRect();
    const [row, list] = ['.symbol.selected', '.symbol-list'].map(placed);
    return row.top >= list.top && row.bottom <= list.bottom + 1;
})()"""


@pytest.fixture(scope="module")
async def crowded() -> AsyncIterator[RunningService]:
    """A service with many symbols; the stream of a page that is opened begins with some of them only."""
    bars = [bar(number, 100.0 + place, symbol=name) for number in range(BARS) for place, name in enumerate(NAMES)]
    with scratch_folder() as folder:
        async with running_service(folder) as service:
            await published(service, messages(bars))
            yield service


@pytest.fixture
async def api(crowded: RunningService) -> AsyncIterator[httpx.AsyncClient]:
    """A REST client of the service."""
    async with crowded.rest() as rest:
        yield rest


async def listed(api: httpx.AsyncClient) -> dict[str, Any]:
    """Return the symbols of all pages by name."""
    return {found["symbol"]: found for found in await all_of(api, "/api/market/symbols", "symbols")}


async def test_every_symbol_is_listed_over_rest_page_by_page(api: httpx.AsyncClient) -> None:
    names, token = list[str](), ""
    while True:
        page = (await api.get("/api/market/symbols", params={"limit": 50, "page_token": token})).json()
        names += [found["symbol"] for found in page["symbols"]]
        assert page["count"] == len(page["symbols"])
        assert int(page["through_sequence"]) >= MANY * BARS
        if not (token := page["next_page_token"]):
            break
    assert names[:MANY] == NAMES
    page = (await api.get("/api/market/symbols", params={"symbols": ["NOSUCH", NAMES[7]], "closes": 2})).json()
    (found,) = page["symbols"]
    assert (found["symbol"], found["last_close"], found["closes"]) == (NAMES[7], 107.0, [107.0, 107.0])


async def test_dashboard_lists_every_symbol_with_its_price_and_those_that_come_later(
    tab: Tab, crowded: RunningService, api: httpx.AsyncClient
) -> None:
    tab.complaints.clear()
    page = Dashboard(tab, crowded.address)
    await page.open(f"#/live/{NAMES[120]}")
    await page.tab.shows(f"document.querySelectorAll('[data-symbol]').length >= {MANY}")
    await page.tab.shows(SELECTED_IN_SIGHT)
    stored = await listed(api)
    assert {name: float(price) for name, price in (await tab.run(ROWS)).items()} == {
        name: found["last_close"] for name, found in stored.items()
    }
    await page.shows("#symbols .note", f"{len(stored)} ·")
    await page.drawn(
        await published(crowded, messages([bar(0, 55.0, symbol="ANEWCOP"), bar(3, 191.0, symbol=NAMES[90])]))
    )
    await page.shows("#symbols .note", f"{len(stored) + 1} ·")
    rows = await tab.run(ROWS)
    assert (next(iter(rows)), float(rows["ANEWCOP"]), float(rows[NAMES[90]])) == ("ANEWCOP", 55.0, 191.0)
    await tab.run(
        "{const find = document.querySelector('#symbols input'); find.value = 's12';"
        " find.dispatchEvent(new Event('input', {bubbles: true}));}"
    )
    await page.tab.shows("document.querySelectorAll('[data-symbol]').length === 10")
    assert list(await tab.run(ROWS)) == [name for name in NAMES if "S12" in name]
    assert tab.complaints == []
