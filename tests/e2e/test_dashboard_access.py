"""The dashboard of a service that wants an API key: which keys it takes, and what it does when its own is refused."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from tests.support.bars import messages
from tests.support.browser import CHROMIUM
from tests.support.builders import walk
from tests.support.chromium import Tab
from tests.support.dashboard import AXE, Dashboard
from tests.support.deadlines import DEADLINE
from tests.support.folders import scratch_folder
from tests.support.keys import GuardedService, guarded_service

import tradingsignals
from tradingsignals_server.domain.access import Role

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")

_TYPED = """(() => {
  const input = document.querySelector("#api-key");
  input.value = %s;
  input.form.requestSubmit();
})()"""


@dataclass(frozen=True)
class Guarded(GuardedService):
    """A service with AUTH=on, and bars to publish."""

    bars: list[tradingsignals.Bar]

    async def publish(self, bars: int) -> int:
        """Publish the next bars and return the newest sequence."""
        key = await self.key(Role.ADMIN)
        batch = [self.bars.pop(0) for _ in range(bars)]
        async with tradingsignals.connect(self.service.address, api_key=key.text, timeout=DEADLINE) as client:
            return (await client.publish_bars(batch)).through_sequence


@pytest.fixture(scope="module")
async def guarded() -> AsyncIterator[Guarded]:
    with scratch_folder() as folder:
        async with guarded_service(folder, MODEL_PATH="") as guarded:
            yield Guarded(guarded.service, guarded.made, messages(walk(400, symbol="USDCOP")))


@pytest.fixture
async def form(tab: Tab, guarded: Guarded) -> Dashboard:
    """The page as it is without a key."""
    await tab.show(f"http://{guarded.service.address}/")
    await tab.run("sessionStorage.clear()")
    await tab.show("about:blank")
    await tab.show(f"http://{guarded.service.address}/")
    await tab.shows("document.querySelector('#api-key')")
    return Dashboard(tab, guarded.service.address)


async def enter(page: Dashboard, key: str) -> None:
    """Type a key and send the form, once it can be sent."""
    await page.tab.shows("document.querySelector('.key-form button')?.disabled === false")
    await page.tab.run(_TYPED % json.dumps(key))


async def test_form_does_not_complain_before_a_key_is_given(form: Dashboard) -> None:
    assert await form.text("#key-problem") == ""
    assert not await form.tab.run("document.querySelector('#main')")
    if AXE.exists():
        assert await form.violations() == []


async def test_form_fits_into_phones(form: Dashboard) -> None:
    await enter(form, "w" * 200 + "ключ")
    await form.shows("#key-problem", "This is not a key")
    for width in (320, 390, 900, 1440):
        await form.tab.resize(width)
        assert await form.cut() == []
    await form.tab.resize(1440)


@pytest.mark.parametrize("key", ["ключ", "ts_€", "two words", "naïve"])
async def test_text_that_no_header_can_carry_is_refused_in_the_form(form: Dashboard, key: str) -> None:
    await enter(form, key)
    await form.shows("#key-problem", "This is not a key")
    assert await form.tab.run("sessionStorage.length") == 0
    assert not await form.tab.run("document.querySelector('#main')")


async def test_text_that_was_kept_and_cannot_be_a_key_leads_to_the_form(form: Dashboard, guarded: Guarded) -> None:
    await form.tab.run("sessionStorage.setItem('api-key', 'ключ')")
    await form.tab.show("about:blank")
    await form.tab.show(f"http://{guarded.service.address}/")
    await form.shows(".key-form label", "API key")
    await enter(form, (await guarded.key()).text)
    await form.is_in("live")


async def test_key_is_not_kept_while_the_service_does_not_respond(form: Dashboard, guarded: Guarded) -> None:
    key = (await guarded.key()).text
    await form.tab.send("Network.enable")
    await form.tab.send("Network.setBlockedURLs", urls=["*/GetServiceInfo"])
    try:
        await enter(form, key)
        await form.shows("#key-problem", "The service does not respond")
        assert await form.tab.run("sessionStorage.length") == 0
        assert not await form.tab.run("document.querySelector('#main')")
    finally:
        await form.tab.send("Network.setBlockedURLs", urls=[])
    await enter(form, key)
    await form.is_in("live")


@pytest.mark.parametrize("how", ["revoked", "expired"])
async def test_page_whose_key_ends_says_so_and_goes_on_without_a_gap_with_another_one(
    form: Dashboard, guarded: Guarded, how: str
) -> None:
    first, second = await guarded.key(), await guarded.key()
    await enter(form, first.text)
    await form.is_in("live")
    await form.focuses("Live")
    await form.drawn(await guarded.publish(80))
    before = await form.rows()
    if how == "revoked":
        await guarded.made.revoke(first.key.id)
    else:
        async with guarded.service.database() as database:
            await database.execute("UPDATE api_keys SET expires_at = now() WHERE key_id = $1", first.key.id)
    await form.shows("#key-problem", how)
    await form.shows(".key-form", "goes on where it stopped")
    await form.tab.shows("document.activeElement.id === 'api-key'")
    assert not await form.tab.run("document.querySelector('#main')")
    last = await guarded.publish(20)
    await enter(form, "ключ")
    await form.shows("#key-problem", "This is not a key")
    await enter(form, first.text)
    await form.shows("#key-problem", how)
    await enter(form, second.text)
    await form.is_in("live")
    await form.shows(".strip", "none missing")
    await form.drawn(last)
    key = {"x-api-key": second.text}
    async with guarded.service.rest() as rest:
        listed = (await rest.get("/api/signals/history", params={"limit": "500"}, headers=key)).json()["signals"]
    rows = [int(each["sequence"]) for each in listed]
    await form.lists(rows)
    assert set(before) < set(rows)


async def test_page_offers_what_its_key_allows_and_says_why_the_rest_is_not(form: Dashboard, guarded: Guarded) -> None:
    viewer, trader = await guarded.key(name="wall screen"), await guarded.key(Role.TRADER)
    await enter(form, viewer.text)
    await form.is_in("live")
    async with guarded.service.rest() as rest:
        key = {"x-api-key": viewer.text}
        while not (await rest.get("/api/signals/positions/active", headers=key)).json()["positions"]:
            await guarded.publish(1)
    await form.shows("#positions [data-refused]", "not allowed: this key has the role viewer")
    assert not await form.tab.run("document.querySelector('#positions button')")
    disabled = "[...document.querySelectorAll('%s')].map(({ disabled }) => disabled)"
    await form.tab.run("location.hash = '#/state'")
    await form.shows("#trading [data-refused]", "Not allowed: this key has the role viewer.")
    await form.shows("#health .facts", "viewer, wall screen")
    await form.shows("#models button")
    assert await form.tab.run(disabled % "#trading button, #models button") == [True, True]
    if AXE.exists():
        assert await form.violations() == []
    await form.tab.run("location.hash = '#/trust'")
    await form.shows("#backtest [data-refused]", "Not allowed")
    assert await form.tab.run(disabled % "#backtest [type=submit]") == [True]
    await guarded.made.revoke(viewer.key.id)
    await form.shows("#key-problem", "revoked")
    await enter(form, trader.text)
    await form.is_in("live")
    await form.shows("#backtest form")
    await form.tab.shows("!document.querySelector('[data-refused]')")
    await form.tab.run("location.hash = '#/state'")
    await form.shows("#models [role=status]", "Not allowed: this key has the role trader.")
    assert await form.tab.run(disabled % "#trading button, #models button") == [False, True]
    await form.tab.run("location.hash = '#/live'")
    await form.shows("#positions button", "Close")
