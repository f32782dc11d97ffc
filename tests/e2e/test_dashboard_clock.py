"""The dashboard on a device whose clock is wrong: ages and times go by the clock of the service."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.support.browser import CHROMIUM
from tests.support.dashboard import Dashboard
from tests.support.dashboard_feed import SYMBOLS, Feed

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")

MINUTES = {"ahead of": 10, "behind": -10}
"""How wrong the clock is, by what State says of it."""

_WRONG = """(() => {
  const right = Date.now.bind(Date);
  globalThis.trueTime = right;
  Date.now = () => right() + %d * 60_000;
})()"""

_CLOCK = """(() => {
  const [hours, minutes, seconds] = document.querySelector(".clock .num").textContent.split(":").map(Number);
  const shown = 3600 * hours + 60 * minutes + seconds;
  const now = Math.floor(trueTime() / 1000) - 5 * 3600; // Bogota
  const apart = (((shown - now) %% 86_400) + 86_400) %% 86_400;
  return Math.min(apart, 86_400 - apart) < 60;
})()""".replace("%%", "%")


@pytest.fixture(params=MINUTES)
async def wrong(request: pytest.FixtureRequest, page: Dashboard) -> AsyncIterator[str]:
    """The way in which the clock of the device is wrong."""
    script = {"source": _WRONG % MINUTES[request.param]}
    identifier = (await page.tab.send("Page.addScriptToEvaluateOnNewDocument", **script))["identifier"]
    yield request.param
    await page.tab.send("Page.removeScriptToEvaluateOnNewDocument", identifier=identifier)


async def test_ages_and_times_go_by_the_service(page: Dashboard, feed: Feed, wrong: str) -> None:
    await page.open(f"#/live/{SYMBOLS[0]}")
    await page.drawn(await feed.publish(len(SYMBOLS)))
    await page.tab.shows(r"/last decided \d+ s ago/.test(document.querySelector('.headline-since').textContent)")
    await page.tab.shows(_CLOCK)
    await page.open("#/state")
    await page.shows("[data-clock]", f"10 min {wrong} that of the service")
    await page.drawn(await feed.publish(len(SYMBOLS)))
    for step in ("newest bar that was stored", "of the server that responded last"):
        row = f"[...document.querySelectorAll('#lags tr')].find((row) => row.textContent.includes('{step}'))"
        await page.tab.shows(rf"/^(now|\d+ s ago)$/.test({row}.cells[1].textContent)")
    delay = "[...document.querySelectorAll('#lags tr')].at(-1).cells[2].textContent"
    await page.tab.shows(f"/^[0-9,]{{1,5}} ms$/.test({delay})")


async def test_clock_that_is_set_while_the_page_is_open_is_noticed(page: Dashboard) -> None:
    await page.open("#/state")
    await page.shows("#lags tbody", "ago")
    assert not await page.tab.run("document.querySelector('[data-clock]')")
    await page.tab.run(_WRONG % -60)
    await page.shows("[data-clock]", "1 h 00 behind that of the service")
    await page.is_in("live")
