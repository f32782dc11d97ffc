"""The service in a browser, and the JSON that all other callers get at the same address."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from tests.support.browser import CHROMIUM
from tests.support.chromium import Tab, chromium
from tests.support.deadlines import within
from tests.support.service import RunningService

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
    assert any("Content Security Policy" in each for each in tab.complaints)
