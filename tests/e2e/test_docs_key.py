"""The page of calls of a service with AUTH=on: the key that calls are sent with."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from tests.support.browser import CHROMIUM
from tests.support.chromium import Tab
from tests.support.folders import scratch_folder
from tests.support.keys import created_key
from tests.support.service import RunningService, running_service
from tests.support.snippets import output_of, snippets_of

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")

PRESS = "document.querySelector('button.main').click()"
STATUS = "document.querySelector('.try [role=status]').textContent"
ASKS = "document.getElementById('access').open && document.activeElement.id === 'key'"
SUMMARY = "document.querySelector('#access summary').textContent"


@dataclass(frozen=True)
class Guarded:
    """A service with AUTH=on, and a key of it."""

    service: RunningService
    key: str


@pytest.fixture(scope="module")
async def guarded() -> AsyncIterator[Guarded]:
    with scratch_folder() as folder:
        async with running_service(folder, AUTH="on") as service:
            yield Guarded(service, await created_key(service, "viewer"))


async def view(guarded: Guarded, tab: Tab, operation: str) -> None:
    """Open the page at a call."""
    await tab.show(f"http://{guarded.service.address}/docs?{operation}#{operation}")
    assert await tab.shows(f"document.querySelector('h1').textContent === '{operation}'")


async def enter(tab: Tab, key: str) -> None:
    """Enter a key as one types it."""
    field = "document.getElementById('key')"
    await tab.run(f"{field}.value = {json.dumps(key)}; {field}.dispatchEvent(new Event('input', {{ bubbles: true }}))")


@pytest.fixture(autouse=True)
async def no_key(guarded: Guarded, tab: Tab) -> None:
    await tab.show(f"http://{guarded.service.address}/docs")
    await tab.run("sessionStorage.clear()")


async def test_key_is_asked_for_and_sent_with_calls(guarded: Guarded, tab: Tab) -> None:
    await view(guarded, tab, "ListSignals")
    assert not await tab.run(ASKS)
    await tab.run(PRESS)
    assert await tab.shows(f"{STATUS}.startsWith('401')")
    assert await tab.shows(ASKS)
    await enter(tab, guarded.key[:-1] + ("A" if guarded.key[-1] != "A" else "B"))
    await tab.run(PRESS)
    assert await tab.shows(f"{STATUS}.startsWith('401')")
    await enter(tab, f" {guarded.key} ")
    await tab.run(PRESS)
    assert await tab.shows(f"{STATUS} === '200 OK'")
    assert await tab.run(SUMMARY) == "Key is set"


async def test_stream_is_followed_with_the_key(guarded: Guarded, tab: Tab) -> None:
    await view(guarded, tab, "StreamEvents")
    await tab.run(PRESS)
    assert await tab.shows(f"{STATUS}.startsWith('401')")
    assert await tab.shows(ASKS)
    await enter(tab, guarded.key)
    await tab.run(PRESS)
    assert await tab.shows("document.querySelector('.dot.live')")
    await tab.run(PRESS)
    assert await tab.shows(f"{STATUS} === 'Stopped'")


async def test_key_is_kept_in_the_tab_only(guarded: Guarded, tab: Tab) -> None:
    await view(guarded, tab, "GetLatestSignal")
    await enter(tab, guarded.key)
    await view(guarded, tab, "ListSignals")
    assert await tab.run(SUMMARY) == "Key is set"
    await tab.run(PRESS)
    assert await tab.shows(f"{STATUS} === '200 OK'")
    assert not await tab.run(f"JSON.stringify([localStorage, document.cookie]).includes({json.dumps(guarded.key)})")
    await tab.show(f"http://{guarded.service.address}/")
    assert await tab.shows("document.querySelector('#main')"), "the dashboard has it too"
    await view(guarded, tab, "ListSignals")
    await enter(tab, "")
    assert await tab.run("sessionStorage.length") == 0
    assert await tab.run(SUMMARY) == "Key"


@pytest.mark.parametrize("key", ["ключ", "two words", "naïve"])
async def test_text_that_no_header_can_carry_is_not_sent_and_said_to_be_no_key(
    guarded: Guarded, tab: Tab, key: str
) -> None:
    for operation in ("ListSignals", "StreamEvents"):
        await view(guarded, tab, operation)
        await enter(tab, key)
        assert (await tab.run("document.getElementById('key-problem').textContent")).startswith("This is not a key")
        assert await tab.run("sessionStorage.length") == 0
        await tab.run("document.getElementById('access').open = false")
        await tab.run(PRESS)
        assert await tab.shows(f"{STATUS} === 'Not sent'")
        assert "This is not a key: it contains" in await tab.run("document.querySelector('.try').textContent")
        assert await tab.shows(ASKS)
        await enter(tab, guarded.key)
        assert await tab.run("document.getElementById('key-problem').textContent") == ""
        await enter(tab, "")


async def test_snippets_take_the_key_from_the_environment(guarded: Guarded, tab: Tab) -> None:
    for operation in ("ListSignals", "ListOutcomes"):
        await view(guarded, tab, operation)
        before = await snippets_of(tab)
        assert not any("TRADINGSIGNALS_API_KEY" in text for text in before.values())
        await enter(tab, guarded.key)
        for language, text in (await snippets_of(tab)).items():
            assert guarded.key not in text
            output = await output_of(language, text, TRADINGSIGNALS_API_KEY=guarded.key)
            assert output is None or b"{" in output, (language, text, output)
        await enter(tab, "")


@pytest.mark.parametrize("width", [1440, 900, 390])
async def test_field_of_the_key_is_on_the_screen(guarded: Guarded, tab: Tab, width: int) -> None:
    await tab.resize(width)
    try:
        await view(guarded, tab, "ListSignals")
        await tab.run("document.querySelector('#access summary').click()")
        box = await tab.run(
            "(({ left, right }) => [left, right])(document.getElementById('key').getBoundingClientRect())"
        )
        assert 0 <= box[0] < box[1] <= width
        assert await tab.run("document.documentElement.scrollWidth <= innerWidth")
    finally:
        await tab.resize(1440)
