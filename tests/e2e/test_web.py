"""The service in a browser, and the JSON that all other callers get at the same address."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import httpx
import pytest
from tests.support.browser import CHROMIUM, Page, served
from tests.support.chromium import Tab, chromium
from tests.support.deadlines import DEADLINE, poll, within
from tests.support.service import RunningService
from tests.support.snippets import output_of, snippets_of

from tradingsignals import AsyncClient

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"

in_browser = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")


@pytest.fixture(scope="module")
async def tab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Tab]:
    async with chromium(tmp_path_factory.mktemp("chromium")) as tab:
        yield tab


async def curl(url: str, *options: str) -> tuple[str, bytes]:
    """Return the content type and the body that curl gets."""
    arguments = ("-sS", "--write-out", "%{stderr}%{content_type}", *options, url)
    process = await asyncio.create_subprocess_exec("curl", *arguments, stdout=-1, stderr=-1)
    body, content_type = await within(process.communicate())
    return content_type.decode(), body


@pytest.mark.parametrize(
    ("accept", "page"),
    [("*/*", False), ("application/json", False), ("text/html", True), (BROWSER, True), (None, False)],
)
async def test_root_is_json_for_programs_and_a_page_for_browsers(
    service: RunningService, accept: str | None, page: bool
) -> None:
    options = () if accept is None else ("-H", f"accept: {accept}")
    content_type, body = await curl(f"http://{service.address}/", *options)
    if page:
        assert content_type == "text/html; charset=utf-8"
        assert body.startswith(b"<!doctype html>")
    else:
        assert content_type == "application/json"
        assert json.loads(body)["service"] == "trading-signals-service"


@in_browser
@pytest.mark.parametrize("path", ["/", "/docs"])
async def test_page_loads_in_a_browser_without_a_complaint(service: RunningService, tab: Tab, path: str) -> None:
    tab.complaints.clear()
    await tab.show(f"http://{service.address}{path}")
    assert await tab.shows("document.querySelector('main, #root, #app')?.textContent.trim().length > 0")
    assert tab.complaints == []


@in_browser
async def test_page_in_a_browser_reads_the_json_at_its_own_address(service: RunningService, tab: Tab) -> None:
    """The browser must not take the page, which it has just stored for this URL, for the response."""
    await tab.show(f"http://{service.address}/")
    found = await tab.run("fetch('/').then((response) => response.json())")
    assert found["service"] == "trading-signals-service"
    await tab.show(f"http://{service.address}/")
    assert await tab.run("document.contentType") == "text/html"


@in_browser
async def test_browser_refuses_inline_scripts_and_styles_in_a_page(service: RunningService, tab: Tab) -> None:
    await tab.show(f"http://{service.address}/docs")
    done = await tab.run(
        """(() => {
          const script = document.createElement("script"); script.textContent = "window.ran = true";
          const style = document.createElement("style"); style.textContent = "body { color: rgb(1, 2, 3) }";
          document.head.append(script, style);
          return [Boolean(window.ran), getComputedStyle(document.body).color];
        })()"""
    )
    assert not done[0]
    assert done[1] != "rgb(1, 2, 3)"
    async with asyncio.timeout(DEADLINE):
        while not any("Content Security Policy" in each for each in tab.complaints):
            await poll()


# --------------------------------------------------------------------------------------------- pages of other origins

ATTEMPTS = """(async (service) => {
  const frame = (type) => ({ method: "POST", headers: { "content-type": type }, body: new Uint8Array(5) });
  const json = { method: "POST", headers: { "content-type": "application/json" }, body: "{}" };
  const calls = {
    read: ["/api/signals/latest"],
    lines: ["/api/events"],
    write: ["/api/signals/generate", json],
    "write without a body": ["/api/signals/generate-from-db", { method: "POST" }],
    "write that is not read": ["/api/signals/generate-from-db", { method: "POST", mode: "no-cors" }],
    "gRPC-Web": ["/tradingsignals.v1.SignalService/GenerateSignalFromDb", frame("application/grpc-web+proto")],
    "gRPC-Web in disguise": ["/tradingsignals.v1.SignalService/GenerateSignalFromDb", frame("text/plain")],
  };
  const found = {};
  for (const [name, [path, options]] of Object.entries(calls)) {
    const ended = new AbortController();
    try {
      const response = await fetch(service + path, { ...options, signal: ended.signal });
      found[name] = response.ok && response.headers.get("grpc-status") !== "7";
    } catch { found[name] = false; }
    ended.abort();
  }
  const source = new EventSource(`${service}/api/events`);
  found.events = await new Promise((resolve) => {
    source.onmessage = () => resolve(true);
    source.onerror = () => resolve(false);
  });
  source.close();
  return found;
})("%s")"""
"""What a page tries at a service: which of it was answered, as far as the page can see."""


@in_browser
@pytest.mark.parametrize(
    "origin",
    ["http://127.0.0.1:{page}", "http://localhost:{page}", "http://evil.example:{page}", "http://evil.example:{own}"],
    ids=["another port", "another name of this machine", "another host", "another host that leads to the service"],
)
async def test_page_of_another_origin_can_read_and_do_nothing(
    service: RunningService, rest: httpx.AsyncClient, tab: Tab, origin: str
) -> None:
    async def made() -> int:
        count: int = (await rest.get("/api/signals/statistics")).json()["statistics"]["signals"]["signals_generated"]
        return count

    before = await made()
    async with served(Page({"/": ("text/html", b"<!doctype html>")})) as port:
        await tab.show(origin.format(page=port, own=service.port))
        found = await tab.run(ATTEMPTS % ("" if "{own}" in origin else f"http://{service.address}"))
        assert len(found) == 8
        assert not any(found.values()), found
    assert await made() == before


@in_browser
async def test_page_of_the_service_can_do_all_that(service: RunningService, tab: Tab) -> None:
    for host in ("127.0.0.1", "localhost"):
        await tab.show(f"http://{host}:{service.port}/docs")
        found = await tab.run(ATTEMPTS % "")
        refused = {name for name, done in found.items() if not done}
        assert refused == {"write", "gRPC-Web in disguise"}, "both lack what the call needs"


# --------------------------------------------------------------------------------------------------- the page of calls


async def view(service: RunningService, tab: Tab, operation: str) -> None:
    """Open the page at a call."""
    tab.complaints.clear()
    await tab.show(f"http://{service.address}/docs?{operation}#{operation}")
    await tab.shows(f"document.querySelector('h1').textContent === '{operation}'")


async def enter(tab: Tab, selector: str, text: str) -> None:
    """Write into a field of the page."""
    field = f"document.querySelector({json.dumps(selector)})"
    await tab.run(f"{field}.value = {json.dumps(text)}; {field}.dispatchEvent(new Event('input', {{ bubbles: true }}))")


PRESS = "document.querySelector('button.main').click()"
STATUS = "document.querySelector('.try [role=status]').textContent"
NOTE = "document.querySelector('button.main + span').textContent"
BODY = "document.querySelector('[aria-label=Response] pre').textContent"


@in_browser
async def test_call_is_sent_from_the_page_and_its_response_shown(service: RunningService, tab: Tab) -> None:
    await view(service, tab, "ListSignals")
    await enter(tab, "#p-limit", "2")
    await tab.run(PRESS)
    await tab.shows(f"{STATUS} === '200 OK'")
    assert len(json.loads(await tab.run(BODY))["signals"]) == 2
    await enter(tab, "#p-limit", "0")
    await tab.run(PRESS)
    await tab.shows(f"{STATUS}.startsWith('400')")
    assert json.loads(await tab.run(BODY))["details"][0]["reason"] == "INVALID_FIELD"
    assert all("400 (Bad Request)" in each for each in tab.complaints), tab.complaints


@in_browser
async def test_call_that_changes_state_is_sent_at_the_second_press_only(service: RunningService, tab: Tab) -> None:
    await view(service, tab, "GenerateSignal")
    read = "fetch('/api/signals/statistics').then((response) => response.json())"
    counts = f"{read}.then((all) => all.statistics.signals.signals_generated)"
    before = await tab.run(counts)
    await tab.run(PRESS)
    assert await tab.run("document.querySelector('button.main').textContent") == "Send for real?"
    assert await tab.run(counts) == before
    await tab.run(PRESS)
    await tab.shows(f"{STATUS} === '200 OK'")
    assert await tab.run(counts) == before + 1


@in_browser
async def test_stream_is_shown_live_until_it_is_stopped(
    service: RunningService, client: AsyncClient, tab: Tab, symbol: str
) -> None:
    await view(service, tab, "StreamSignals")
    await enter(tab, "#p-symbols", symbol)
    await enter(tab, "#p-heartbeat_seconds", "1")
    await tab.run(PRESS)
    await tab.shows("document.querySelector('.dot.live')")
    await tab.shows("document.querySelector('.events').textContent.includes('heartbeat')")
    made = await client.generate_signal(4000.0, symbol=symbol)
    await tab.shows(f"document.querySelector('.events').textContent.includes('{symbol}')")
    await tab.shows(f"document.querySelector('.events').textContent.includes('{made.sequence}')")
    await tab.run(PRESS)
    await tab.shows(f"{STATUS} === 'Stopped'")


@in_browser
async def test_what_is_no_call_is_said_to_be_none(service: RunningService, tab: Tab) -> None:
    code = "document.querySelector('.try pre').textContent"
    tab.complaints.clear()
    for unknown in ("Nope", "%E0%A4%A"):
        await tab.show(f"http://{service.address}/docs?{len(unknown)}#{unknown}")
        assert await tab.shows("document.querySelector('h1').textContent === 'No such call'")
        assert unknown in await tab.run("document.getElementById('main').textContent")
    await view(service, tab, "ExplainSignal")
    await enter(tab, "#p-signal_id", "..")
    assert "it would call another path" in await tab.run(code)
    await tab.run(PRESS)
    assert await tab.run("document.querySelector('.try [aria-label=Response]').hidden")
    assert "it would call another path" in await tab.run(NOTE)
    await enter(tab, "#p-signal_id", "...")
    assert "curl" in await tab.run(code)
    await view(service, tab, "PublishBar")
    for body in ("{", '{"close": 1e999}'):
        await enter(tab, "textarea", body)
        assert set((await snippets_of(tab)).values()) == {await tab.run(code)}
        assert "the body is no JSON" in await tab.run(code)
    assert tab.complaints == []


@in_browser
async def test_search_finds_calls_by_their_fields_and_reasons_of_errors(service: RunningService, tab: Tab) -> None:
    await tab.show(f"http://{service.address}/docs?search")
    await tab.shows("document.querySelector('#found a')")
    for text, found in (
        ("lookback_bars", "GenerateSignalFromDb"),
        ("SEQUENCE_PRUNED", "Errors"),
        ("backtests", "RunBacktest"),
    ):
        await enter(tab, "#search", text)
        links = await tab.run("[...document.querySelectorAll('#found a')].map((link) => link.hash.slice(1))")
        assert found in links
        assert len(links) < 10
    await enter(tab, "#search", "xyzzy")
    assert await tab.run("document.getElementById('found').textContent") == "Nothing found."


@in_browser
async def test_phone_shows_the_call_first_and_nothing_beside_the_screen(service: RunningService, tab: Tab) -> None:
    await tab.resize(390, 844)
    try:
        for operation in ("ListSignals", "StreamEvents", "RunBacktest", "PublishBar"):
            await view(service, tab, operation)
            assert await tab.run("document.documentElement.scrollWidth <= innerWidth"), operation
            assert await tab.run("document.querySelector('h1').getBoundingClientRect().top < 120"), operation
            assert await tab.run("getComputedStyle(document.getElementById('calls')).display") == "none"
    finally:
        await tab.resize(1440)


@in_browser
@pytest.mark.parametrize("operation", ["GetLatestSignal", "ListSignals", "GenerateSignalFromDb"])
async def test_snippets_are_calls_that_work(service: RunningService, tab: Tab, operation: str) -> None:
    await view(service, tab, operation)
    snippets = await snippets_of(tab)
    assert list(snippets) == ["curl", "Python", "TypeScript", "gRPC"]
    for language, text in snippets.items():
        output = await output_of(language, text)
        assert output is None or b"signal" in output, (language, text, output)


@in_browser
async def test_call_and_its_snippets_with_one_idempotency_key_make_one_signal(
    service: RunningService, tab: Tab
) -> None:
    await view(service, tab, "GenerateSignal")
    await enter(tab, "#p-Idempotency-Key", "of-the-page")
    await tab.run(f"{PRESS}; {PRESS}")
    await tab.shows(f"{STATUS} === '200 OK'")
    signal_id = json.loads(await tab.run(BODY))["signal"]["signal_id"]
    for language, text in (await snippets_of(tab)).items():
        output = await output_of(language, text)
        assert output is None or signal_id.encode() in output, (language, text, output)
    await tab.run(f"{PRESS}; {PRESS}")
    await tab.shows("document.querySelector('.try').textContent.includes('replayed')")
    assert tab.complaints == []


@in_browser
async def test_every_call_has_a_view_with_snippets_and_an_example(service: RunningService, tab: Tab) -> None:
    await tab.show(f"http://{service.address}/docs?all")
    await tab.shows("document.querySelector('#found a')")
    names = await tab.run(
        "[...document.querySelectorAll('#found a')].map((link) => link.hash.slice(1)).filter(Boolean)"
    )
    assert len(names) > 20
    tab.complaints.clear()
    for name in names:
        await tab.run(f"location.hash = '#{name}'")
        await tab.shows(f"document.querySelector('h1').textContent === '{name}'")
        if not await tab.run("Boolean(document.querySelector('.badge.gRPC')) || location.hash === '#Errors'"):
            texts = await tab.run(
                "[...document.querySelectorAll('[role=tab]')].map((tab) => { tab.click(); "
                "return document.querySelector('.try pre').textContent; })"
            )
            assert len(texts) == 4
            assert not [text for text in texts if "undefined" in text or "[object" in text], name
            example = await tab.run("document.querySelector('.example pre').textContent")
            # The response of this one has no fields.
            assert len(example) > 10 or (name, example.strip()) == ("DeleteEndpoint", "{}"), name
    assert tab.complaints == []
