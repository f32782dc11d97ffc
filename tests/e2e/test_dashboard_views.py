"""The views Trust and State of the dashboard in a real browser, through the edge: panels show what the API says."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from tests.support.browser import CHROMIUM
from tests.support.dashboard import AXE, Dashboard
from tests.support.dashboard_feed import Feed, all_of

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")


async def settled(api: httpx.AsyncClient) -> None:
    """Wait until outcomes and account have followed the log to its end."""
    async with asyncio.timeout(60):
        while True:
            account, newest = [(await api.get(path)).json() for path in ("/api/account", "/")]
            if int(account.get("through_sequence", 0)) >= int(newest["through_sequence"]):
                return
            await asyncio.sleep(0.1)  # they follow after a pause


def amount(value: float) -> str:
    """Return an amount as the page writes it, without its sign."""
    return f"{abs(value):,.2f}"


async def test_state_view_shows_what_the_api_says(page: Dashboard, api: httpx.AsyncClient) -> None:
    await page.open("#/state")
    await page.shows("[data-model]")
    health = (await api.get("/health")).json()
    report = await page.text("#health")
    assert health["status"].capitalize() in report
    for warning in health["warnings"]:
        assert warning in report
    symbols = await page.tab.run(
        "[...document.querySelectorAll('#symbol-health tbody tr')].map((row) => row.querySelector('a').textContent)"
    )
    assert symbols == [f"{each['symbol'][:3]}/{each['symbol'][3:]}" for each in health["symbols"]]
    model = (await api.get("/api/signals/model/info")).json()["model"]
    assert model["version"] in await page.text("#models h3")
    assert "Placeholder model" in await page.text(".notices")
    assert await page.tab.run("document.querySelectorAll('#servers tbody tr').length") == 1
    await page.tab.run("document.querySelector('#models button').click()")
    await page.shows("#models", "There is no newer version")
    assert page.tab.complaints == []


async def test_trading_panel_shows_the_account(page: Dashboard, api: httpx.AsyncClient, feed: Feed) -> None:
    await feed.position()
    await settled(api)
    account = (await api.get("/api/account")).json()["account"]
    await page.open("#/state")
    await page.shows("#trading .status", "On")
    assert account["currency"] in await page.text("#trading .facts")
    for field, key in (("equity", "equity"), ("day", "day_pnl"), ("drawdown", "drawdown")):
        assert amount(account[key]) in await page.text(f"[data-trading={field}]")
    assert f"{account['exposure']:.1%}" in await page.text("[data-trading=exposure]")


async def test_account_and_its_curve_are_those_of_the_api(page: Dashboard, api: httpx.AsyncClient, feed: Feed) -> None:
    await feed.position()
    await settled(api)
    account = (await api.get("/api/account")).json()["account"]
    await page.open("#/trust")
    await page.shows("[data-account=equity]")
    assert account["currency"] in await page.text("#equity .facts")
    for field, value in {
        "equity": account["equity"],
        "profit": account["realised_pnl"] + account["unrealised_pnl"],
        "realised": account["realised_pnl"],
        "unrealised": account["unrealised_pnl"],
        "drawdown": account["drawdown"],
    }.items():
        assert amount(value) in await page.text(f"[data-account={field}]")
    assert f"of {account['closed_positions']} closed" in await page.text("[data-account=realised]")
    for resolution, button in (("BAR", 0), ("DAY", 1)):
        await page.tab.run(f"document.querySelectorAll('#equity .choice button')[{button}].click()")
        points = await all_of(api, "/api/account/equity", "points", resolution=resolution)
        await page.tab.shows(f"document.querySelector('[data-plot=equity]').dataset.points === '{len(points)}'")
        deepest = max(point["drawdown_pct"] for point in points)
        assert f"{deepest:.2f}%" in await page.text("#equity .body > .note")
    assert page.tab.complaints == []


async def test_trust_view_shows_what_the_api_says(page: Dashboard, api: httpx.AsyncClient) -> None:
    await settled(api)
    await page.open("#/trust")
    await page.shows("[data-figure=winRate]")
    outcomes = await all_of(api, "/api/signals/outcomes", "outcomes", 3000, fill="CLOSE", shadow="false")
    drawn = await page.tab.run("[...document.querySelectorAll('[data-outcome]')].map((row) => row.dataset.outcome)")
    assert drawn == [each["outcome_id"] for each in outcomes[:50]]
    acted = [each for each in outcomes if each["acted"]]
    won = [each for each in acted if each["net_pct"] > 0]
    assert f"{len(won) / len(acted):.1%}" in await page.text("[data-figure=winRate]")
    assert f"n {len(acted)}" in await page.text("[data-figure=winRate]")
    await page.tab.run("[...document.querySelectorAll('.more button')][0].click()")
    await page.tab.shows("document.querySelectorAll('[data-outcome]').length === 100")
    assert page.tab.complaints == []


async def test_explanation_has_the_rules_and_contributions_of_the_api(page: Dashboard, api: httpx.AsyncClient) -> None:
    newest = (await api.get("/api/signals/latest")).json()["signal"]
    await page.open(f"#/trust/signal/{newest['signal_id']}")
    await page.shows("#explanation [data-rule]")
    told = (await api.get(f"/api/signals/{newest['signal_id']}/explanation")).json()["explanation"]
    rules = await page.tab.run("[...document.querySelectorAll('[data-rule]')].map((rule) => rule.dataset.rule)")
    assert rules == [each["rule"] for each in told["rules"]]
    groups = await page.tab.run("[...document.querySelectorAll('[data-group]')].map((group) => group.dataset.group)")
    assert sorted(groups) == sorted(each["group"] for each in told.get("attribution", {}).get("contributions", []))
    await page.tab.run("document.querySelector('.replay button').click()")
    await page.shows(".replay", "The same to the bit")
    await page.open("#/trust/signal/00000000-0000-0000-0000-000000000000")
    await page.shows("#explanation .failed")


async def test_backtests_are_run_and_compared(page: Dashboard) -> None:
    await page.open("#/trust")
    for number, threshold in enumerate(["", "0.5"], 1):
        await page.tab.run("document.querySelector('.backtest-form input[type=number]').focus()")
        await page.press(*threshold)
        await page.tab.run("document.querySelector('.backtest-form .button-main').click()")
        await page.tab.shows(f"document.querySelector('#backtest-results')?.dataset.runs === '{number}'")
    heads = await page.tab.run(
        "[...document.querySelectorAll('#backtest-results thead th')].map((head) => head.textContent)"
    )
    assert [head.split(".")[0] for head in heads] == [
        "Figure",
        "1",
        "2",
        "buy and hold",
        "coin",
        "moving average cross",
    ]
    trades = await page.tab.run(
        "[...document.querySelectorAll('#backtest-results [data-figure=trades] strong')].map((one) => one.textContent)"
    )
    assert int(trades[0]) > int(trades[1]), "a higher threshold trades less"


@pytest.mark.skipif(not AXE.exists(), reason="axe-core is not installed (npm ci)")
@pytest.mark.parametrize("width", [1440, 390])
@pytest.mark.parametrize("dark", [True, False])
@pytest.mark.parametrize(("view", "ready"), [("#/state", "[data-model]"), ("#/trust", "[data-outcome]")])
async def test_axe_finds_nothing_in_other_views(page: Dashboard, view: str, ready: str, dark: bool, width: int) -> None:
    await page.tab.resize(width, dark=dark)
    try:
        await page.open(view)
        await page.shows(ready)
        if ready == "[data-outcome]":
            await page.tab.run("document.querySelector('[data-outcome] a').click()")
            await page.shows("#explanation [data-rule]")
            await page.tab.run("document.querySelector('.backtest-form .button-main').click()")
            await page.shows("#backtest-results")
        assert await page.violations() == []
    finally:
        await page.tab.resize(1440)
