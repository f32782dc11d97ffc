"""The dashboard in a real browser, through the edge."""

from __future__ import annotations

import os
import signal

import httpx
import pytest
from tests.support.browser import CHROMIUM
from tests.support.chromium import Tab
from tests.support.dashboard import AXE, Dashboard
from tests.support.dashboard_feed import SYMBOLS, Feed, signals_of
from tests.support.folders import scratch_folder
from tests.support.service import RunningService, running_service

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")


async def test_live_view_shows_what_the_api_says(page: Dashboard, api: httpx.AsyncClient) -> None:
    await page.open("#/live/EURCOP")
    newest = (await api.get("/api/signals/latest?symbol=EURCOP")).json()["signal"]
    await page.drawn(int(newest["sequence"]))
    texts = [newest["action"], f"{newest['entry_price']:,.2f}", f"{newest['confidence']:.1%}", *newest["reasoning"][1:]]
    if "stop_loss" in newest:
        texts += [f"{newest['stop_loss']:,.2f}", f"{newest['take_profit']:,.2f}"]
    for text in texts:
        await page.shows("#headline", text)

    positions = (await api.get("/api/signals/positions/active")).json()["positions"]
    await page.tab.shows(f"document.querySelectorAll('#positions tbody tr').length === {len(positions)}")
    for position in positions:
        for value in (abs(position["current_pnl_account"]), position["entry_price"], position["stop_loss"]):
            await page.shows(f'[data-position="{position["position_id"]}"]', f"{value:,.2f}")

    bars = (await api.get("/api/market/bars?symbol=EURCOP&limit=200")).json()["bars"]
    newest_bar = f"{bars[0]['time'][:19]}.000Z"
    await page.tab.shows("document.querySelector('.canvas')?.dataset.bars === '200'")
    drawn = "new Date(Number(document.querySelector('.canvas').dataset.newest)).toISOString()"
    await page.tab.shows(f"{drawn} === '{newest_bar}'")
    marks = await signals_of(api, symbol="EURCOP")
    traded = [each["sequence"] for each in marks if each["action"] != "HOLD"]
    await page.tab.shows(f"document.querySelector('.canvas').dataset.mark === '{traded[0]}'")
    assert page.tab.complaints == []


async def test_chart_as_a_table_has_its_bars_and_signals(page: Dashboard, api: httpx.AsyncClient) -> None:
    await page.open("#/live/USDCOP")
    await page.tab.shows("document.querySelector('.canvas')?.dataset.mark")
    await page.tab.run("[...document.querySelectorAll('.chart-tools button')].at(-1).click()")
    await page.shows(".chart-table")
    rows = "[...document.querySelectorAll('.chart-table tbody tr')].map((row) => row.dataset.sequence ?? '')"
    drawn = await page.tab.run(f"{rows}.length")
    signals = {each["bar_time"]: each for each in await signals_of(api, symbol="USDCOP")}
    bars = (await api.get(f"/api/market/bars?symbol=USDCOP&limit={drawn}")).json()["bars"]
    found = [signals.get(bar["time"], {"action": "HOLD"}) for bar in bars]
    expected = [each["sequence"] if each["action"] != "HOLD" else "" for each in found]
    await page.tab.shows(f"{rows}.join() === '{','.join(expected)}'")


async def test_new_bars_and_signals_are_drawn_when_they_are_committed(page: Dashboard, feed: Feed) -> None:
    await page.open("#/live/USDCOP")
    drawn = "document.querySelector('.canvas')?.dataset"
    await page.tab.shows(f"{drawn}.bars && {drawn}.mark")  # what is read at first is drawn: bars, then signals
    bars = int(await page.tab.run("document.querySelector('.canvas').dataset.bars"))
    await page.drawn(await feed.publish(len(SYMBOLS)))
    await page.tab.shows(f"document.querySelector('.canvas').dataset.bars === '{bars + 1}'")
    rows = await page.rows()
    assert rows == sorted(rows, reverse=True)


@pytest.mark.parametrize(
    ("choose", "query"),
    [
        ("", {}),
        ("document.querySelectorAll('.filters button')[1].click()", {"action": "BUY"}),
        ("document.querySelectorAll('.filters button')[2].click()", {"action": "SELL"}),
        ("document.querySelector('.filters input').click()", {"symbol": "GBPCOP"}),
    ],
)
async def test_list_has_every_signal_that_passes_the_filter(
    page: Dashboard, api: httpx.AsyncClient, choose: str, query: dict[str, str]
) -> None:
    await page.open("#/live/GBPCOP")
    if choose:
        await page.tab.run(choose)
    await page.shows("#signals .list-row")
    await page.lists([int(each["sequence"]) for each in await signals_of(api, **query)])
    assert await page.tab.run("document.querySelectorAll('#signals .list-row').length") < 100


async def test_position_is_closed_after_a_confirmation(page: Dashboard, api: httpx.AsyncClient, feed: Feed) -> None:
    await page.open()
    held = await feed.position()
    row = f'[data-position="{held["position_id"]}"]'
    await page.shows(row)
    button = f"Close the position in {held['symbol'][:3]}/{held['symbol'][3:]}"
    await page.tab.run(f"document.querySelector('{row} button').focus()")
    for no in ("Escape", "Enter"):  # the focus is on Cancel
        await page.press("Enter")
        await page.shows("dialog[open] h2", "Close the")
        await page.press(no)
        await page.tab.shows("!document.querySelector('dialog')")
        await page.focuses(button)
    await page.press("Enter")
    await page.shows("dialog[open] h2", "Close the")
    await page.tab_to("Close position")
    await page.press("Enter")
    await page.tab.shows(f"!document.querySelector('{row}')")
    await page.focuses("Positions")
    closed = (await api.get("/api/signals/positions/closed?limit=1")).json()["positions"][0]
    assert closed["position_id"] == held["position_id"]
    assert closed["exit_reason"] == "MANUAL"


async def test_question_whether_to_close_a_position_that_is_closed_elsewhere_says_so(
    page: Dashboard, api: httpx.AsyncClient, feed: Feed
) -> None:
    await page.open()
    held = await feed.position()
    button = f'[data-position="{held["position_id"]}"] button'
    await page.shows(button)
    await page.tab.run(f"document.querySelector('{button}').click()")
    await page.shows("dialog[open] h2", "Close the")
    await page.tab_to("Close position")
    response = await api.post(f"/api/signals/positions/{held['position_id']}/close", json={})
    assert response.status_code == 200, response.text
    await page.shows("dialog[open] h2", "is closed")
    await page.shows("dialog [role=alert]", "closed meanwhile")
    await page.tab.shows("!document.querySelector('dialog .button-danger')")
    await page.focuses("OK")
    await page.press("Enter")
    await page.tab.shows("!document.querySelector('dialog')")
    await page.focuses("Positions")


@pytest.mark.parametrize(
    ("view", "ready"),
    [("#/live/GBPCOP", "#positions [data-position]"), ("#/state", "[data-model]"), ("#/trust", "[data-account]")],
)
async def test_page_is_not_wider_than_a_phone(page: Dashboard, feed: Feed, view: str, ready: str) -> None:
    await feed.position()
    await page.tab.resize(390)
    try:
        await page.open(view)
        await page.shows(ready)
        await page.tab.shows("document.documentElement.scrollWidth === 390")
        await page.tab.shows("document.querySelector('.views').getBoundingClientRect().bottom === 900")
    finally:
        await page.tab.resize(1440)


@pytest.mark.skipif(not AXE.exists(), reason="axe-core is not installed (npm ci)")
@pytest.mark.parametrize("width", [1440, 390])
@pytest.mark.parametrize("dark", [True, False])
async def test_axe_finds_nothing(page: Dashboard, dark: bool, width: int) -> None:
    await page.tab.resize(width, dark=dark)
    try:
        await page.open()
        await page.shows("#signals .list-row")
        assert await page.violations() == []
        await page.tab.run("document.querySelector('.settings button').click()")
        await page.shows(".menu")
        await page.tab.run("document.querySelector('#signals .list-row').click()")
        await page.shows("dialog[open]")
        assert await page.violations() == []
    finally:
        await page.tab.resize(1440)


async def test_everything_works_by_keyboard_alone(page: Dashboard) -> None:
    await page.open("#/live/USDCOP")
    await page.shows("#signals .list-row")
    await page.tab.shows("document.querySelector('.canvas canvas')")
    await page.press("Tab")
    await page.focuses("Skip to the view")
    await page.tab_to("Settings")
    await page.press("Enter")
    await page.tab_to("Light")
    await page.press("Enter")
    await page.tab.shows("document.documentElement.dataset.theme === 'light'")
    await page.press("Escape")
    await page.focuses("Settings")
    await page.tab_to("EUR/COP")
    await page.press("Enter")
    await page.shows("#headline", "EUR/COP")
    await page.tab.shows("document.querySelector('.canvas').getAttribute('aria-label').startsWith('Chart of EUR/COP')")
    await page.tab_to("Zoom in")
    await page.press(" ")
    await page.tab_to("Chart of EUR/COP")
    await page.press("ArrowLeft", "+", "End")
    await page.tab_to("Sell")
    await page.press(" ")
    rows = "[...document.querySelectorAll('#signals .list-row')]"
    await page.tab.shows(f"{rows}.length && {rows}.every((row) => row.textContent.includes('SELL'))")
    await page.tab_to("Signals, the newest first")
    await page.press("ArrowDown", "ArrowDown", "Enter")
    await page.shows("dialog[open] h2", "SELL")
    await page.press("Escape")
    await page.tab.shows("!document.querySelector('dialog')")
    await page.focuses("Signals, the newest first")
    await page.tab.shows("getComputedStyle(document.activeElement).outlineStyle === 'solid'")
    await page.tab.run("localStorage.clear()")


async def test_new_buy_or_sell_is_announced_to_screen_readers(page: Dashboard, feed: Feed) -> None:
    await page.open()
    await page.shows("#signals .list-row")
    await feed.publish(40 * len(SYMBOLS))
    await page.tab.shows("/(BUY|SELL) ...\\/COP at/.test(document.querySelector('#announcer').textContent)")


async def test_page_that_slept_is_not_live_until_it_has_heard_from_the_service(page: Dashboard, feed: Feed) -> None:
    await page.open()
    await page.tab.run("globalThis.phases = []")
    await page.tab.run(
        "new MutationObserver(() => phases.push(document.querySelector('#connection').dataset.phase))"
        ".observe(document.querySelector('#connection'), { attributeFilter: ['data-phase'] })"
    )
    await page.tab.run("(() => { const end = Date.now() + 9000; while (Date.now() < end); })()")
    last = await feed.publish(5 * len(SYMBOLS))
    await page.drawn(last)
    await page.is_in("live")
    assert (await page.tab.run("phases"))[0] in {"stale", "reconnecting"}
    await page.shows(".strip", "none missing")


async def test_page_whose_script_hangs_says_so(page: Dashboard) -> None:
    await page.open()
    covered = "getComputedStyle(document.querySelector('.stopped-strip')).opacity"
    await page.tab.shows(f"Number({covered}) === 0")
    await page.tab.run("for (let timer = 0; timer < 10000; timer += 1) clearInterval(timer)")
    await page.tab.shows(f"Number({covered}) === 1")


async def test_lost_network_is_shown_and_made_up_for(page: Dashboard, feed: Feed, replayed: RunningService) -> None:
    await page.open()
    conditions = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    await page.tab.send("Network.enable")
    await page.tab.send("Network.emulateNetworkConditions", offline=True, **conditions)
    os.kill(replayed.child("envoy").pid, signal.SIGKILL)  # what is open stays open
    try:
        await page.is_in("offline")
        await page.shows(".strip", "This device is offline")
        last = await feed.publish(2 * len(SYMBOLS))
    finally:
        await page.tab.send("Network.emulateNetworkConditions", offline=False, **conditions)
    await page.drawn(last)
    await page.shows(".strip", "none missing")


async def test_new_database_is_noticed_and_read_anew(tab: Tab) -> None:
    with scratch_folder() as folder, scratch_folder() as other:
        async with running_service(folder) as service:
            page = Dashboard(tab, service.address)
            await Feed(service).publish(300)
            await page.open("#/live/USDCOP")
            await page.shows("#signals .list-row")
            assert await service.stop() == 0
            service.data_dir.rename(other / "data")
            await service.start()
            await Feed(service).publish(180)
            await page.shows(".strip", "made anew")
            async with service.rest() as api:
                await page.lists([int(each["sequence"]) for each in await signals_of(api)])
