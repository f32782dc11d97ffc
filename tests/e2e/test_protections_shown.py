"""How protections stand, where callers see it: REST, the Python client, metrics and the dashboard."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest
from tests.support.browser import CHROMIUM
from tests.support.chromium import Tab
from tests.support.dashboard import Dashboard
from tests.support.dashboard_feed import Feed
from tests.support.deadlines import DEADLINE, poll
from tests.support.folders import scratch_folder
from tests.support.ports import free_ports
from tests.support.service import RunningService, running_service

from tradingsignals.v1.account_pb2 import Protection
from tradingsignals_server.domain.protections import PROTECTION_RULES

SETTINGS = {
    "CONFIDENCE_THRESHOLD": "0.36",
    "ATR_MULTIPLIER_SL": "100",
    "ATR_MULTIPLIER_TP": "150",
    "MAX_OPEN_POSITIONS": "1",
    "MAX_DAILY_LOSS_PCT": "0.5",
}
"""A position is opened soon, and stays."""


@dataclass(frozen=True)
class Guarded:
    """A service whose limit of positions is reached, and the port of its metrics."""

    service: RunningService
    metrics_port: int


@pytest.fixture(scope="module")
async def guarded() -> AsyncIterator[Guarded]:
    (port,) = free_ports(1)
    with scratch_folder() as folder:
        async with running_service(folder, METRICS_PORT=str(port), **SETTINGS) as service:
            feed = Feed(service)
            await feed.publish(180)
            await feed.position()
            async with service.rest() as rest, asyncio.timeout(DEADLINE):
                while (await rest.get("/api/account")).json().get("account", {}).get("open_positions") != 1:
                    await poll()
            yield Guarded(service, port)


async def test_account_has_every_protection(guarded: Guarded) -> None:
    async with guarded.service.rest() as rest, guarded.service.client() as client:
        shown = (await rest.get("/api/account")).json()["protections"]
        sent = (await client.get_account()).protections
    assert [each["name"] for each in shown] == [rule.name for rule in PROTECTION_RULES] == [each.name for each in sent]
    states = {each["name"]: each for each in shown}
    assert states["MAX_OPEN_POSITIONS"] == {
        "name": "MAX_OPEN_POSITIONS",
        "unit": "COUNT",
        "limit": 1,
        "value": 1,
        "reached": True,
        "reason": "1 position is open, and the limit is 1",
    }
    assert states["MAX_DAILY_LOSS_PCT"]["limit"] == 0.5
    assert states["MAX_EXPOSURE_PCT"]["limit"] == 0
    assert "value" not in states["MAX_EXPOSURE_PCT"]
    assert [each.name for each in sent if each.reached] == ["MAX_OPEN_POSITIONS"]
    assert next(each for each in sent if each.name == "MAX_OPEN_POSITIONS").unit == Protection.COUNT


async def test_metrics_have_limit_and_value_of_every_protection(guarded: Guarded) -> None:
    async with httpx.AsyncClient(verify=False, timeout=DEADLINE) as caller:  # noqa: S501 - no TLS is used
        scrape = (await caller.get(f"http://127.0.0.1:{guarded.metrics_port}/metrics")).text
    for line in (
        'protection_limit{protection="MAX_OPEN_POSITIONS"} 1.0',
        'protection_value{protection="MAX_OPEN_POSITIONS"} 1.0',
        'protection_reached{protection="MAX_OPEN_POSITIONS"} 1.0',
        'protection_limit{protection="MAX_DAILY_LOSS_PCT"} 0.5',
        'protection_limit{protection="MAX_EXPOSURE_PCT"} 0.0',
        'protection_value{protection="HALTED_BY_HAND"} 0.0',
    ):
        assert f"tradingsignals_{line}\n" in scrape
    for rule in PROTECTION_RULES:
        assert f'tradingsignals_protection_reached{{protection="{rule.name}"}}' in scrape


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")
async def test_state_view_has_every_protection(tab: Tab, guarded: Guarded) -> None:
    page = Dashboard(tab, guarded.service.address)
    await page.open("#/state")
    await page.shows("[data-protection=MAX_OPEN_POSITIONS]", "reached")
    rows = "[...document.querySelectorAll('[data-protection]')].map((row) => row.dataset.protection)"
    assert await tab.run(rows) == [rule.name for rule in PROTECTION_RULES]
    assert "off" in await page.text("[data-protection=MAX_EXPOSURE_PCT]")
    assert "50.00%" in await page.text("[data-protection=MAX_DAILY_LOSS_PCT]")
    await page.shows("#trading .status", "Limit reached")
    await page.shows("#trading", "1 position is open, and the limit is 1")
    async with guarded.service.rest() as rest:
        await rest.post("/api/account/halt", json={"reason": "news"})
        try:
            await page.shows("[data-protection=HALTED_BY_HAND]", "in force")
            await page.shows("#trading .status", "Halted")
        finally:
            await rest.post("/api/account/resume", json={})
    await page.shows("[data-protection=HALTED_BY_HAND]", "not in force")
