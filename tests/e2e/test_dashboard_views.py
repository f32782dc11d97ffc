"""The views Trust and State of the dashboard in a real browser, through the edge: panels show what the API says."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from tests.support.browser import CHROMIUM
from tests.support.dashboard import AXE, Dashboard
from tests.support.dashboard_feed import Feed, all_of
from tests.support.deadlines import DEADLINE, poll

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")


async def settled(api: httpx.AsyncClient) -> None:
    """Wait until outcomes and account have followed the log to its end."""
    async with asyncio.timeout(DEADLINE):
        while True:
            account, newest = [(await api.get(path)).json() for path in ("/api/account", "/")]
            if int(account.get("through_sequence", 0)) >= int(newest["through_sequence"]):
                return
            await poll()  # they follow after a pause


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


async def test_trading_is_halted_and_resumed_by_keyboard(page: Dashboard, api: httpx.AsyncClient) -> None:
    async def halted() -> bool:
        return bool((await api.get("/health")).json()["trading_halted"])

    await page.open("#/state")
    await page.shows("#trading .status", "On")
    await page.tab_to("Halt trading")
    await page.press("Enter")
    await page.shows("dialog[open] h2", "Halt trading?")
    await page.press(*"news", "Escape")
    await page.tab.shows("!document.querySelector('dialog')")
    await page.focuses("Halt trading")
    assert not await halted()
    await page.press("Enter")
    await page.shows("dialog[open] h2", "Halt trading?")
    await page.press(*"rate decision", "Tab", *"ana")
    await page.tab_to("Halt trading")
    await page.press("Enter")
    try:
        await page.shows(".notice-halt", "TRADING HALTED")
        assert await halted()
        await page.shows("#trading .status", "Halted")
        await page.focuses("Resume trading")
        assert "rate decision, by ana, since" in await page.text("[data-trading=halt]")
        for view in ("#/live", "#/trust", "#/state"):
            await page.open(view)
            await page.shows(".notice-halt", "rate decision, by ana")
        assert await page.tab.run("document.title") == "HALTED · Trading Signals"
        await page.shows("#trading button", "Resume trading")
        await page.tab_to("Resume trading")
        await page.press("Enter")
        await page.shows("dialog[open] h2", "Resume trading?")
        if AXE.exists():
            assert await page.violations() == []
        await page.tab_to("Cancel")
        await page.tab_to("Resume trading")
        await page.press("Enter")
        await page.tab.shows("!document.querySelector('.notice-halt')")
        await page.shows("#trading .status", "On")
        await page.focuses("Halt trading")
        assert not await halted()
    finally:
        await api.post("/api/account/resume", json={})
    assert page.tab.complaints == []


async def test_a_halt_is_among_the_protections_without_waiting_for_the_next_look(
    page: Dashboard, api: httpx.AsyncClient
) -> None:
    await page.open("#/state")
    await page.shows("[data-protection=HALTED_BY_HAND]", "not in force")
    await page.tab.run("for (let timer = 0; timer < 100000; timer += 1) clearInterval(timer)")
    in_force = "!document.querySelector('[data-protection=HALTED_BY_HAND]').textContent.includes('not in force')"
    try:
        await api.post("/api/account/halt", json={"reason": "news"})
        await page.tab.shows(in_force)
    finally:
        await api.post("/api/account/resume", json={})
    await page.tab.shows(f"!({in_force})")


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


async def test_outcomes_are_those_of_the_api(page: Dashboard, api: httpx.AsyncClient) -> None:
    await settled(api)
    await page.open("#/trust")
    await page.shows("[data-outcome]")
    outcomes = await all_of(api, "/api/signals/outcomes", "outcomes", 100, fill="CLOSE", shadow="false")
    drawn = await page.tab.run("[...document.querySelectorAll('[data-outcome]')].map((row) => row.dataset.outcome)")
    assert drawn == [each["outcome_id"] for each in outcomes[:50]]
    await page.tab.run("[...document.querySelectorAll('.more button')][0].click()")
    await page.tab.shows("document.querySelectorAll('[data-outcome]').length === 100")
    assert page.tab.complaints == []


async def statistics(api: httpx.AsyncClient, **query: Any) -> Any:
    """Return the statistics of the API."""
    return (await api.get("/api/signals/performance", params=query)).json()["performance"]


def estimates(performance: Any) -> dict[str, Any]:
    """Return figures by name."""
    return {each["name"]: each for each in performance["figures"]}


async def test_statistics_are_those_of_the_api(page: Dashboard, api: httpx.AsyncClient) -> None:
    await settled(api)
    performance = await statistics(api, basis="POSITIONS", by=["SYMBOL", "HOUR"])
    figures = estimates(performance)
    await page.open("#/trust")
    await page.shows("[data-figure=win_rate_pct]")
    for name, digits in (("win_rate_pct", 1), ("expectancy_r", 2), ("pnl", 2), ("max_drawdown_pct", 2), ("sharpe", 2)):
        row, figure = await page.text(f"[data-figure={name}]"), figures[name]
        assert f"{abs(figure['value']):,.{digits}f}" in row
        assert f"n {figure['n']:,}" in row
        if "low" in figure:
            assert f"{abs(figure['low']):,.{digits}f}" in row
    keys = "[...document.querySelectorAll('[data-key]')].map((row) => row.dataset.key)"
    groups = {
        name: [each for each in performance["groups"] if each["dimension"] == name] for name in ("SYMBOL", "HOUR")
    }
    assert await page.tab.run(keys) == [each["key"] for each in groups["SYMBOL"]]
    for group in groups["SYMBOL"]:
        row, of_group = await page.text(f"[data-key={group['key']}]"), estimates(group)
        assert f"{of_group['win_rate_pct']['value']:.1f}%" in row
        assert amount(of_group["pnl"]["value"]) in row
    await page.tab.run(
        "const select = document.querySelector('#groups select'); select.value = 'HOUR';"
        "select.dispatchEvent(new Event('change', { bubbles: true }))"
    )
    await page.tab.shows(f"{keys}.join() === '{','.join(each['key'] for each in groups['HOUR'])}'")
    await page.tab.run("document.querySelector('#performance summary').click()")
    told = [each["name"] for each in performance["figures"] if "value" in each]
    shown = await page.tab.run("[...document.querySelectorAll('[data-any]')].map((row) => row.dataset.any)")
    assert shown == told
    assert page.tab.complaints == []


async def test_shadow_stands_beside_all_signals_of_the_live_model(page: Dashboard, api: httpx.AsyncClient) -> None:
    await settled(api)
    live, shadow = await statistics(api, basis="SIGNALS"), await statistics(api, shadow="true")
    await page.open("#/trust")
    await page.shows("[data-figure=win_rate_pct]")
    await page.tab.run("document.querySelectorAll('#performance .choice button')[1].click()")
    await page.shows("#performance thead", "Shadow")
    cells = await page.tab.run(
        "[...document.querySelectorAll('[data-figure=expectancy_r] td')].map((cell) => cell.textContent)"
    )
    for cell, performance in zip(cells, (live, shadow), strict=True):
        figure = estimates(performance)["expectancy_r"]
        assert f"{abs(figure['value']):.2f} R" in cell
        assert f"n {figure['n']:,}" in cell


async def test_calibration_is_that_of_the_api(page: Dashboard, api: httpx.AsyncClient) -> None:
    await settled(api)
    performance = await statistics(api, basis="POSITIONS")
    await page.open("#/trust")
    await page.shows("[data-figure=win_rate_pct]")
    assert await page.tab.run("document.querySelectorAll('[data-bin]').length") == len(performance["calibration"])
    if performance["calibration"]:
        brier = estimates(performance)["brier"]["value"]
        assert await page.text("[data-calibration=brier]") == f"{brier:.3f}"
    else:
        await page.shows("#calibration", "No resolved signal had a win probability")


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
