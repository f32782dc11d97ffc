"""Takes the pictures of the dashboard in `docs/screenshots/`, of a service with a simulated market: `make screenshots`.

python -m docs.screenshots [--into FOLDER]

It needs Chromium. The bars are the same each time, so the pictures show the same but for what the clock says.
"""

from __future__ import annotations

import argparse
import asyncio
import heapq
import sys
import tempfile
from dataclasses import replace
from datetime import date, timedelta
from itertools import islice
from operator import attrgetter
from pathlib import Path

import httpx
from tests.support.bars import messages
from tests.support.browser import CHROMIUM
from tests.support.chromium import Tab, chromium
from tests.support.dashboard import Dashboard
from tests.support.publishing import published
from tests.support.service import RunningService, running_service

from tradingsignals_server.adapters.feeds.market import SimulatedMarket
from tradingsignals_server.domain.bars import Bar
from tradingsignals_server.domain.calendar import BogotaCalendar

FOLDER = Path(__file__).parent / "screenshots"
SYMBOLS = ("USDCOP", "EURCOP", "GBPCOP", "BRLCOP", "MXNCOP")
DAYS = 28
FIRST_DAY = date(2024, 3, 4)
VIEWS = {
    "live": {1440: 900, 900: 1240, 390: 844},
    "trust": {1440: 1180, 900: 1240, 390: 1240},
    "state": {1440: 900, 900: 1240, 390: 1240},
}
"""The sizes in which each view is taken: heights by width, in pixels."""
KIND = "webp"
THEMES = ("light", "dark")
READY = {"live": "#positions [data-position]", "trust": "#groups tbody tr", "state": "[data-model]"}
"""What each view shows when it is complete."""


def bars_of(symbol: str) -> list[Bar]:
    """Return the bars of a symbol in the sessions of Bogota."""
    market, calendar, bars = SimulatedMarket(7, symbol, BogotaCalendar()), BogotaCalendar(), list[Bar]()
    for number in range(DAYS):
        for time in calendar.bars_of(FIRST_DAY + timedelta(days=number)):
            bars.append(market.next_bar(time, bars[-1] if bars else None))
    return [replace(bar, simulated=False) for bar in bars]


async def fill(service: RunningService) -> None:
    """Publish bars until there is something to see: positions in several symbols, and a new BUY or SELL."""
    bars = messages(heapq.merge(*map(bars_of, SYMBOLS), key=attrgetter("time")))
    history = len(bars) * 3 // 4
    await published(service, bars[:history])
    rest = iter(bars[history:])
    async with service.rest() as api:
        while batch := list(islice(rest, len(SYMBOLS))):
            await published(service, batch)
            if await is_worth_seeing(api):
                return
    raise SystemExit("no moment of these bars has two positions and a new BUY or SELL")


async def is_worth_seeing(api: httpx.AsyncClient) -> bool:
    """Whether two positions are open, the main symbol's for some bars, and its newest signal is a BUY or SELL."""
    held = (await api.get("/api/signals/positions/active")).json()["positions"]
    newest = (await api.get("/api/signals/latest", params={"symbol": SYMBOLS[0]})).json()["signal"]
    bars = [each["bars_held"] for each in held if each["symbol"] == SYMBOLS[0]]
    return len(held) > 1 and newest["action"] != "HOLD" and bars > [2]


async def take(tab: Tab, page: Dashboard, into: Path) -> None:
    """Take every picture."""
    for view, sizes in VIEWS.items():
        for width, height in sizes.items():
            for theme in THEMES:
                await tab.resize(width, height, dark=theme == "dark")
                await page.open(f"#/{view}/{SYMBOLS[0]}" if view == "live" else f"#/{view}")
                await page.shows(READY[view])
                await page.settled()
                path = into / f"{view}-{width}-{theme}.{KIND}"
                path.write_bytes(await tab.screenshot(KIND))
                print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB", file=sys.stderr)


async def main(into: Path) -> None:
    """Run a service, and take the pictures of its pages."""
    with tempfile.TemporaryDirectory() as folder:
        async with running_service(Path(folder), MODEL_PATH="") as service:
            await fill(service)
            async with chromium(Path(folder) / "chromium") as tab:
                await tab.send("Emulation.setScrollbarsHidden", hidden=True)  # as on most devices
                await take(tab, Dashboard(tab, service.address), into)


if __name__ == "__main__":
    if CHROMIUM is None:
        raise SystemExit("there is no Chromium on this machine")
    parser = argparse.ArgumentParser(description="Take the pictures of the dashboard.")
    parser.add_argument("--into", type=Path, default=FOLDER, help="folder to write to")
    folder: Path = parser.parse_args().into
    folder.mkdir(parents=True, exist_ok=True)
    asyncio.run(main(folder))
