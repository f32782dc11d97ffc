"""A page of history: GET /api/signals/history?limit=100, compared with the older design's list in memory.

Measured: calls a second, with p50 and p99, from 1, 16 and 64 clients; a page is the newest 100 signals as
JSON, some 100 kB. Ours joins them from text that is in memory, or reads them from PostgreSQL in one statement; the
older design (peer/) has them as objects in a list.

How: a thousand signals made beforehand on both sides, one request repeated, sides in turn. The load generator reads
the length of a response and its bytes, no JSON; `generator busy` is its share of a core.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

from .bars import WARMING_BARS, simulated_bars
from .beside_peer import beside_peer
from .generate import CLIENTS, QUOTE, SYMBOL
from .load import rest_load
from .measure import Effort, Figure, at_least
from .service import running_database, running_peer, running_service

SIGNALS = 1000
INDICATORS = {"bb_upper": 4262.1, "bb_lower": 4238.9, "ema_20": 4251.2, "ema_50": 4249.8, "atr": 3.4}
"""Further fields for the older design, so that its signals are as long as ours."""


async def run(effort: Effort) -> AsyncIterator[Figure]:
    """Measure what the module describes."""
    async with (
        running_database() as database,
        running_service(database) as service,
        running_peer(database, effort.peer_python) as peer,
    ):
        await service.publish(simulated_bars(SYMBOL, WARMING_BARS + SIGNALS))
        if peer is not None:
            await rest_load(peer.port, "POST /api/signals/generate", 1, 1.0, json.dumps(QUOTE | INDICATORS))
        for clients in CLIENTS:
            for figure in await beside_peer(
                effort,
                "GET history of 100",
                "GET /api/signals/history?limit=100",
                service=service.rest_port,
                peer=peer.port if peer else None,
                clients=clients,
                target=at_least(1.5),
            ):
                yield figure
