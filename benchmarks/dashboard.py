"""The dashboard, measured in the browser: how soon it shows a live signal and a mark, and what it costs for hours.

Measured, in headless Chromium through Envoy:

- cold load: from the start of the navigation, with an empty cache, until the newest signal is painted and the stream is
  live;
- commit to the mark on the screen: from the time of the commit in the log until the frame with the mark of that BUY or
  SELL on the chart is painted, at ten bars a second, of which each has a signal;
- memory: the JavaScript heap after a forced collection, after an hour's events at 20 a second, which are sent faster;
- scrolling through 10,000 signals, 400 pixels a frame: the time between frames.

How: browser, service and PostgreSQL share the machine and its clock. A frame counts as painted when the task after its
animation callbacks runs. The commit's time is taken before the database has stored it, so the storing is included.
Headless Chromium draws by processor, at most 60 frames a second.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from itertools import islice

import asyncpg
from tests.support.browser import CHROMIUM
from tests.support.chromium import chromium
from tests.support.dashboard import Dashboard

from tradingsignals_server.domain.bars import Bar

from .bars import side_by_side
from .measure import Effort, Figure, at_most, percentile
from .service import running_database, running_service
from .streams import Publisher, publishing

SYMBOLS = ("USDCOP", "EURCOP", "GBPCOP")
WARMING_BARS = 300
LOADS = 20
MARKED_BARS = 600
BARS_PER_SECOND = 10.0
EVENTS = 72_000
SAMPLES = 6
BATCH = 1_200
SCROLLED = 10_000
ROW_PX, SCROLL_PX = 34, 400

PAINTED = """new Promise((done) => requestAnimationFrame(() => {
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = done;
  port2.postMessage(0);
}))"""

LOADED = f"""
const painted = () => {PAINTED};
new MutationObserver(async (_, observer) => {{
  const live = document.querySelector("#connection")?.dataset.phase === "live";
  if (!live || !document.querySelector("#headline[data-sequence]")) return;
  observer.disconnect();
  await painted();
  globalThis.loadedAfter = performance.now();
}}).observe(document, {{
  subtree: true, childList: true, attributes: true, attributeFilter: ["data-phase", "data-sequence"],
}});
"""

RECORD_MARKS = f"""(() => {{
  globalThis.marks = [];
  const chart = document.querySelector(".canvas");
  let newest = 0;
  new MutationObserver(async () => {{
    const sequence = Number(chart.dataset.mark);
    if (sequence <= newest) return;
    newest = sequence;
    await {PAINTED};
    marks.push([sequence, Date.now()]);
  }}).observe(chart, {{ attributes: true, attributeFilter: ["data-mark"] }});
}})()"""

SCROLL = """(async () => {
  const list = document.querySelector("#signals .list");
  const times = [], start = list.scrollTop;
  for (let frame = 0; frame < %d; frame += 1) {
    times.push(await new Promise((resolve) => requestAnimationFrame(resolve)));
    list.scrollTop += %d;
  }
  return { gaps: times.slice(1).map((time, index) => time - times[index]), moved: list.scrollTop - start };
})()"""


async def run(effort: Effort) -> AsyncIterator[Figure]:
    """Measure what the module describes."""
    if CHROMIUM is None:
        print("there is no Chromium: left out", file=sys.stderr)
        return
    events = round(EVENTS * effort.share)
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(running_database())
        service = await stack.enter_async_context(running_service(database, effort.service_python))
        publisher = await stack.enter_async_context(publishing(service.grpc_port))
        tab = await stack.enter_async_context(chromium(database.folder / "chromium"))
        bars = iter(side_by_side(SYMBOLS, WARMING_BARS + MARKED_BARS + events // 4))
        await service.publish(list(islice(bars, WARMING_BARS * len(SYMBOLS))))
        await tab.resize(1440)
        page = Dashboard(tab, f"127.0.0.1:{service.rest_port}")
        measured = _Measured(database.dsn, publisher, page, bars)
        yield Figure(
            "cold load to the first live signal",
            "ms",
            await measured.loads(max(3, round(LOADS * effort.share))),
            at_most(1000),
        )
        marks = await measured.marks(effort.bars(MARKED_BARS))
        besides = {"p99": percentile(marks, 99), "marks": len(marks)}
        yield Figure("commit to the mark on the screen, p50", "ms", [percentile(marks, 50)], besides=besides)
        heaps = await measured.heaps(events)
        yield Figure(
            f"heap after {events:,} events", "MB", [heaps[-1]], besides={"after a sixth": heaps[1], "before": heaps[0]}
        )
        gaps = await measured.scroll(round(SCROLLED * effort.share))
        slow = sum(gap > 34 for gap in gaps) / len(gaps)
        besides = {"p99": percentile(sorted(gaps), 99), "longest": max(gaps), "share over 34 ms": slow}
        yield Figure("scrolling, between frames, p50", "ms", [percentile(sorted(gaps), 50)], besides=besides)


class _Measured:
    """The page of a service, with the bars that it will get."""

    def __init__(self, dsn: str, publisher: Publisher, page: Dashboard, bars: Iterator[Bar]) -> None:
        self._dsn = dsn
        self._publisher = publisher
        self._page = page
        self._tab = page.tab
        self._bars = bars

    async def loads(self, count: int) -> list[float]:
        """Load the page that number of times with an empty cache; return the milliseconds of each."""
        script = (await self._tab.send("Page.addScriptToEvaluateOnNewDocument", source=LOADED))["identifier"]
        found = []
        for _ in range(count):
            await self._tab.send("Network.clearBrowserCache")
            await self._page.open(f"#/live/{SYMBOLS[0]}")
            await self._tab.shows("globalThis.loadedAfter")
            found.append(float(await self._tab.run("loadedAfter")))
        await self._tab.send("Page.removeScriptToEvaluateOnNewDocument", identifier=script)
        return found

    async def marks(self, bars: int) -> list[float]:
        """Publish bars at a steady pace; return the milliseconds from commit to mark, in ascending order."""
        await self._page.open(f"#/live/{SYMBOLS[0]}")
        await self._tab.shows("document.querySelector('.canvas').dataset.mark")
        await self._tab.run(RECORD_MARKS)
        await self._publisher.steadily(list(islice(self._bars, bars)), BARS_PER_SECOND)()
        times = await self._log()
        await self._page.drawn(max(times))
        marks = await self._tab.run(f"{PAINTED}.then(() => marks)")
        return sorted(painted - times[sequence] for sequence, painted in marks if sequence in times)

    async def heaps(self, events: int) -> list[float]:
        """Send events as fast as they are committed; return the heap in MB, before them and after each part."""
        await self._page.open(f"#/live/{SYMBOLS[0]}")
        newest = max(await self._log())
        found = [await self._heap()]
        for part in range(1, SAMPLES + 1):
            end = newest + events * part // SAMPLES
            while (applied := max(await self._log())) < end:
                await self._publisher.burst(list(islice(self._bars, min(BATCH, 100 + (end - applied) // 3))))()
            await self._page.drawn(applied)
            found.append(await self._heap())
        return found

    async def scroll(self, rows: int) -> list[float]:
        """Scroll through that number of rows of the list of signals; return the milliseconds between frames."""
        await self._page.shows("#signals .list-row")
        left, gaps = float(rows * ROW_PX), list[float]()
        while left > 0:
            found = await self._tab.run(SCROLL % (200, SCROLL_PX))
            if not found["moved"]:
                raise RuntimeError(f"the list ends {left / ROW_PX:.0f} rows early")
            left -= found["moved"]
            gaps += found["gaps"]
        return gaps

    async def _heap(self) -> float:
        await self._tab.send("Performance.enable")
        for _ in range(2):  # what a finaliser lets go is collected by the next
            await self._tab.send("HeapProfiler.collectGarbage")
        metrics = (await self._tab.send("Performance.getMetrics"))["metrics"]
        used = next(each["value"] for each in metrics if each["name"] == "JSHeapUsedSize")
        return float(used) / 1e6

    async def _log(self) -> dict[int, float]:
        """Return the time of each commit of the log's newest entries, in milliseconds of Unix time, by sequence."""
        database = await asyncpg.connect(self._dsn)
        try:
            rows = await database.fetch("SELECT sequence, time FROM events ORDER BY sequence DESC LIMIT 5000")
        finally:
            await database.close()
        return {row["sequence"]: row["time"].timestamp() * 1000 for row in rows}
