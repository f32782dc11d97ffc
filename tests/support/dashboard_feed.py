"""Bars of several symbols for the dashboard, and the lists of the API that it is compared with."""

from __future__ import annotations

from itertools import chain, islice
from typing import Any

import httpx

from .bars import messages
from .builders import walk
from .publishing import published
from .service import RunningService

SYMBOLS = ("USDCOP", "EURCOP", "GBPCOP")
BARS_A_SYMBOL = 2000


class Feed:
    """Publishes bars of all symbols in the order in which they close, each call from where the one before stopped."""

    def __init__(self, service: RunningService, bars_a_symbol: int = BARS_A_SYMBOL) -> None:
        self._service = service
        each = [messages(walk(bars_a_symbol, seed=number, symbol=name)) for number, name in enumerate(SYMBOLS)]
        self._bars = iter(list(chain.from_iterable(zip(*each, strict=True))))

    async def publish(self, bars: int) -> int:
        """Publish the next bars and return the newest sequence."""
        return await published(self._service, list(islice(self._bars, bars)))

    async def position(self) -> Any:
        """Publish until a position is open, and return it."""
        async with self._service.rest() as api:
            while not (held := (await api.get("/api/signals/positions/active")).json()["positions"]):
                await self.publish(len(SYMBOLS))
            return held[0]


async def all_of(api: httpx.AsyncClient, path: str, key: str, most: int = 100_000, **query: str) -> list[Any]:
    """Return the items of all pages, or of as many as have `most` items."""
    found, token = [], ""
    while True:
        response = (await api.get(path, params={**query, "limit": 500, "page_token": token})).json()
        found += response[key]
        if not (token := response["next_page_token"]) or len(found) >= most:
            return found


async def signals_of(api: httpx.AsyncClient, **query: str) -> list[Any]:
    """Return all signals, the newest first."""
    return await all_of(api, "/api/signals/history", "signals", 100_000, **query)
