"""The dashboard in a browser: what it draws, and how one operates it."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from .chromium import Tab
from .deadlines import DEADLINE, poll

AXE = Path(__file__).parents[2] / "clients/node_modules/axe-core/axe.min.js"

_KEYS = {
    "Enter": 13,
    "Escape": 27,
    "Tab": 9,
    " ": 32,
    "ArrowDown": 40,
    "ArrowUp": 38,
    "Home": 36,
    "End": 35,
    "ArrowLeft": 37,
}

_FOCUSED = "(document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent).trim()"

_ALL_ROWS = """(async () => {
  const settled = () => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
  const number = (element, name) => Number(element?.getAttribute(name));
  let list, seen, most = 0;
  for (let quiet = 0; quiet < 10;) {
    if (list !== document.querySelector("#signals .list")) {
      list = document.querySelector("#signals .list");
      seen = [];
      if (list) list.scrollTop = 0;
    }
    await settled();
    if (!list) continue;
    const rows = [...list.querySelectorAll(".list-row")];
    const { top, bottom } = list.getBoundingClientRect();
    const drawn = rows.map((row) => row.getBoundingClientRect());
    const last = number(rows.at(-1), "aria-posinset") === number(rows[0], "aria-setsize");
    if (!drawn.length || drawn[0].top > top + 1 || (drawn.at(-1).bottom < bottom - 1 && !last)) continue;
    for (const row of rows) seen[number(row, "aria-posinset") - 1] = number(row.firstElementChild, "data-sequence");
    most = Math.max(most, rows.length);
    const before = list.scrollTop;
    list.scrollTop += list.clientHeight;
    const ended = list.scrollTop === before && seen.length === number(rows[0], "aria-setsize");
    quiet = ended ? quiet + 1 : 0;
  }
  return { seen, most };
})()"""
"""Scrolls through the list of signals, page by page, each once its rows are drawn."""


_CUT = """(async () => {
  await new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
  const found = [];
  const report = (element, what) => {
    const { tagName, id, className, textContent } = element;
    found.push(`${tagName}#${id}.${className} ${what}: ${textContent.slice(0, 60)}`);
  };
  for (const element of document.querySelectorAll("body *")) {
    if (element.closest("svg, input, .canvas, .visually-hidden, .skip, noscript")) continue;
    const { display, overflowX, overflowY, textOverflow } = getComputedStyle(element);
    if (display === "inline" || display === "contents" || !element.clientWidth || textOverflow === "ellipsis") continue;
    const scrolls = overflowX === "auto" || overflowX === "scroll";
    if (element.scrollWidth > element.clientWidth + 1 && !(scrolls && element.matches(".scroll-x, .symbol-list ul"))) {
      report(element, `needs ${element.scrollWidth} px of width and has ${element.clientWidth}`);
    }
    if (element.scrollHeight > element.clientHeight + 1 && (overflowY === "hidden" || overflowY === "clip")) {
      report(element, `needs ${element.scrollHeight} px of height and has ${element.clientHeight}`);
    }
  }
  if (document.documentElement.scrollWidth > innerWidth) report(document.documentElement, "is wider than the window");
  return found;
})()"""
"""Finds what is cut off, or lies over what is beside it, without an ellipsis and without a way to scroll to it."""


_LOOKS = 20
"""Looks for what is cut off, each two frames after the last one."""

_STANDS_STILL = """document.getAnimations().every(({ playState, animationName }) =>
  playState !== "running" || animationName?.startsWith("stopped"))"""
"""Only what notices that script hangs runs always; colours that are on their way to others have no contrast."""


class Dashboard:
    """The page of a service, in a tab."""

    def __init__(self, tab: Tab, address: str) -> None:
        self.tab = tab
        self._url = f"http://{address}/"

    async def open(self, path: str = "#/live") -> None:
        """Load the page anew and wait until it is live."""
        await self.tab.show("about:blank")
        await self.tab.show(self._url + path)
        await self.is_in("live")

    async def is_in(self, phase: str) -> None:
        """Wait until the connection is in a phase."""
        await self.tab.shows(f"document.querySelector('#connection')?.dataset.phase === {json.dumps(phase)}")

    async def shows(self, selector: str, text: str = "") -> None:
        """Wait until an element is there, with a text in it."""
        found = f"[...document.querySelectorAll({json.dumps(selector)})]"
        await self.tab.shows(f"{found}.some((each) => each.textContent.includes({json.dumps(text)}))")

    async def text(self, selector: str) -> str:
        """Return the text of an element, with single spaces."""
        found = await self.tab.run(f"document.querySelector({json.dumps(selector)}).textContent")
        return " ".join(str(found).split())

    async def drawn(self, sequence: int) -> None:
        """Wait until the entries up to a sequence are drawn."""
        await self.tab.shows(f"Number(document.querySelector('#connection')?.dataset.applied) >= {sequence}")

    async def rows(self) -> list[int]:
        """Return the sequences of the whole list, by scrolling through it."""
        return (await self.scrolled())[0]

    async def scrolled(self) -> tuple[list[int], int]:
        """Scroll through the whole list; return the sequences in it, and the most rows that the page had at once."""
        found = await self.tab.run(_ALL_ROWS, 4 * DEADLINE)
        return found["seen"], found["most"]

    async def press(self, *keys: str) -> None:
        """Press keys, one after the other; "Shift+Tab" goes back."""
        for pressed in keys:
            key = pressed.removeprefix("Shift+")
            event = {"key": key, "modifiers": 8 if key != pressed else 0}
            if key in _KEYS:
                event["windowsVirtualKeyCode"] = _KEYS[key]
            if len(key) == 1 or key == "Enter":
                event["text"] = "\r" if key == "Enter" else key
            await self.tab.send("Input.dispatchKeyEvent", type="keyDown", **event)
            await self.tab.send("Input.dispatchKeyEvent", type="keyUp", **event)

    async def focused(self) -> str:
        """Return the name of the element that has the focus: its label, or its text."""
        return " ".join(str(await self.tab.run(_FOCUSED)).split())

    async def focuses(self, name: str) -> None:
        """Wait until the element with this name has the focus."""
        await self.tab.shows(f"{_FOCUSED} === {json.dumps(name)}")

    async def tab_to(self, name: str, most: int = 80) -> None:
        """Press Tab until the element with this name has the focus."""
        for _ in range(most):
            if (await self.focused()).startswith(name):
                return
            await self.press("Tab")
        raise AssertionError(f"Tab does not reach {name!r}")

    async def settled(self) -> None:
        """Wait until nothing is loading, and what has changed is drawn."""
        await self.tab.shows("!document.querySelector('.skeleton')")
        if await self.tab.run("Boolean(document.querySelector('#chart'))"):
            await self.tab.shows(
                "document.querySelector('.canvas canvas') && document.querySelector('.canvas').dataset.mark"
            )
        await self.tab.run("document.fonts.ready.then(() => new Promise((resolve) => setTimeout(resolve, 500)))")

    async def lists(self, expected: list[int]) -> None:
        """Wait until the whole list has these sequences: it reads more while one scrolls, and one may be faster."""
        found: list[int] = []
        with suppress(TimeoutError):
            async with asyncio.timeout(2 * DEADLINE):
                while (found := await self.rows()) != expected:
                    await poll()
        assert found == expected

    async def cut(self) -> list[str]:
        """Return the elements whose content does not fit into them for longer than it takes to draw them anew."""
        found: list[str] = []
        for _ in range(_LOOKS):
            if not (found := await self.tab.run(_CUT)):
                break
        return found

    async def violations(self) -> list[Any]:
        """Return what axe-core finds, with the elements."""
        await self.tab.shows(_STANDS_STILL)
        await self.tab.run(AXE.read_text(encoding="utf-8") + ";0")
        found: list[Any] = await self.tab.run(
            "axe.run().then(({ violations }) => violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)]))"
        )
        return found
