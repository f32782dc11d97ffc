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
from tests.support.statistics import computed_over_rest

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
    await page.shows("#health", health["status"].capitalize())
    for warning in health["warnings"]:
        await page.shows("#health", warning)
    symbols = [f"{each['symbol'][:3]}/{each['symbol'][3:]}" for each in health["symbols"]]
    links = "[...document.querySelectorAll('#symbol-health tbody tr')].map((row) => row.querySelector('a').textContent)"
    await page.tab.shows(f"{links}.join() === '{','.join(symbols)}'")
    model = (await api.get("/api/signals/model/info")).json()["model"]
    await page.shows("#models h3", model["version"])
    await page.shows(".notices", "Placeholder model")
    await page.tab.shows("document.querySelectorAll('#servers tbody tr').length === 1")
    await page.tab.run("document.querySelector('#models button').click()")
    await page.shows("#models", "There is no newer version")
    assert page.tab.complaints == []


async def test_trading_panel_shows_the_account(page: Dashboard, api: httpx.AsyncClient, feed: Feed) -> None:
    await feed.position()
    await settled(api)
    account = (await api.get("/api/account")).json()["account"]
    await page.open("#/state")
    await page.shows("#trading .status", "On")
    await page.shows("#trading .facts", account["currency"])
    for field, key in (("equity", "equity"), ("day", "day_pnl"), ("drawdown", "drawdown")):
        await page.shows(f"[data-trading={field}]", amount(account[key]))
    await page.shows("[data-trading=exposure]", f"{account['exposure']:.1%}")


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
        await page.shows("[data-trading=halt]", "rate decision, by ana, since")
        for view in ("#/live", "#/trust", "#/state"):
            await page.open(view)
            await page.shows(".notice-halt", "rate decision, by ana")
        await page.tab.shows("document.title === 'HALTED · Trading Signals'")
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
    await page.shows("#equity .facts", account["currency"])
    for field, value in {
        "equity": account["equity"],
        "profit": account["realised_pnl"] + account["unrealised_pnl"],
        "realised": account["realised_pnl"],
        "unrealised": account["unrealised_pnl"],
        "drawdown": account["drawdown"],
    }.items():
        await page.shows(f"[data-account={field}]", amount(value))
    await page.shows("[data-account=realised]", f"of {account['closed_positions']} closed")
    for resolution, button in (("BAR", 0), ("DAY", 1)):
        await page.tab.run(f"document.querySelectorAll('#equity .choice button')[{button}].click()")
        points = await all_of(api, "/api/account/equity", "points", resolution=resolution)
        await page.tab.shows(f"document.querySelector('[data-plot=equity]').dataset.points === '{len(points)}'")
        deepest = max(point["drawdown_pct"] for point in points)
        await page.shows("#equity .body > .note", f"{deepest:.2f}%")
    assert page.tab.complaints == []


async def test_outcomes_are_those_of_the_api(page: Dashboard, api: httpx.AsyncClient) -> None:
    await settled(api)
    await page.open("#/trust")
    await page.shows("[data-outcome]")
    outcomes = await all_of(api, "/api/signals/outcomes", "outcomes", 100, fill="CLOSE", shadow="false")
    drawn = "[...document.querySelectorAll('[data-outcome]')].map((row) => row.dataset.outcome)"
    await page.tab.shows(f"{drawn}.join() === '{','.join(each['outcome_id'] for each in outcomes[:50])}'")
    await page.tab.run("[...document.querySelectorAll('.more button')][0].click()")
    await page.tab.shows("document.querySelectorAll('[data-outcome]').length === 100")
    assert page.tab.complaints == []


async def statistics(api: httpx.AsyncClient, **query: Any) -> Any:
    """Return the statistics of the API."""
    return (await computed_over_rest(api, **query)).json()["performance"]


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
        row, figure = f"[data-figure={name}]", figures[name]
        await page.shows(row, f"{abs(figure['value']):,.{digits}f}")
        await page.shows(row, f"n {figure['n']:,}")
        if "low" in figure:
            await page.shows(row, f"{abs(figure['low']):,.{digits}f}")
    keys = "[...document.querySelectorAll('[data-key]')].map((row) => row.dataset.key)"
    groups = {
        name: [each for each in performance["groups"] if each["dimension"] == name] for name in ("SYMBOL", "HOUR")
    }
    await page.tab.shows(f"{keys}.join() === '{','.join(each['key'] for each in groups['SYMBOL'])}'")
    for group in groups["SYMBOL"]:
        row, of_group = f"[data-key={group['key']}]", estimates(group)
        await page.shows(row, f"{of_group['win_rate_pct']['value']:.1f}%")
        await page.shows(row, amount(of_group["pnl"]["value"]))
    await page.tab.run(
        "const select = document.querySelector('#groups select'); select.value = 'HOUR';"
        "select.dispatchEvent(new Event('change', { bubbles: true }))"
    )
    await page.tab.shows(f"{keys}.join() === '{','.join(each['key'] for each in groups['HOUR'])}'")
    await page.tab.run("document.querySelector('#performance summary').click()")
    names = [each["name"] for each in performance["figures"] if "value" in each]
    shown = "[...document.querySelectorAll('[data-any]')].map((row) => row.dataset.any)"
    await page.tab.shows(f"{shown}.join() === '{','.join(names)}'")
    assert page.tab.complaints == []


async def test_shadow_stands_beside_all_signals_of_the_live_model(page: Dashboard, api: httpx.AsyncClient) -> None:
    await settled(api)
    live, shadow = await statistics(api, basis="SIGNALS"), await statistics(api, shadow="true")
    await page.open("#/trust")
    await page.shows("[data-figure=win_rate_pct]")
    await page.tab.run("document.querySelectorAll('#performance .choice button')[1].click()")
    await page.shows("#performance thead", "Shadow")
    for column, performance in enumerate((live, shadow), 1):
        figure, cell = estimates(performance)["expectancy_r"], f"[data-figure=expectancy_r] td:nth-of-type({column})"
        await page.shows(cell, f"{abs(figure['value']):.2f} R")
        await page.shows(cell, f"n {figure['n']:,}")
    assert await page.tab.run("document.querySelectorAll('[data-figure=expectancy_r] td').length") == 2


async def test_calibration_is_that_of_the_api(page: Dashboard, api: httpx.AsyncClient) -> None:
    await settled(api)
    performance = await statistics(api, basis="POSITIONS")
    await page.open("#/trust")
    await page.shows("[data-figure=win_rate_pct]")
    await page.tab.shows(f"document.querySelectorAll('[data-bin]').length === {len(performance['calibration'])}")
    if performance["calibration"]:
        brier = estimates(performance)["brier"]["value"]
        await page.shows("[data-calibration=brier]", f"{brier:.3f}")
    else:
        await page.shows("#calibration", "No resolved signal had a win probability")


async def test_explanation_has_the_rules_and_contributions_of_the_api(page: Dashboard, api: httpx.AsyncClient) -> None:
    newest = (await api.get("/api/signals/latest")).json()["signal"]
    await page.open(f"#/trust/signal/{newest['signal_id']}")
    await page.shows("#explanation [data-rule]")
    explanation = (await api.get(f"/api/signals/{newest['signal_id']}/explanation")).json()["explanation"]
    rules = "[...document.querySelectorAll('[data-rule]')].map((rule) => rule.dataset.rule)"
    await page.tab.shows(f"{rules}.join() === '{','.join(each['rule'] for each in explanation['rules'])}'")
    contributions = sorted(each["group"] for each in explanation.get("attribution", {}).get("contributions", []))
    groups = "[...document.querySelectorAll('[data-group]')].map((group) => group.dataset.group).sort()"
    await page.tab.shows(f"{groups}.join() === '{','.join(contributions)}'")
    await page.tab.run("document.querySelector('.replay button').click()")
    await page.shows(".replay", "The same to the bit")


async def test_backtests_are_run_and_compared(page: Dashboard) -> None:
    await page.open("#/trust")
    await page.shows(".backtest-form button")
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
