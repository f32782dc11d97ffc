"""A page of history: GET /api/signals/history?limit=100, compared with both variants of the older design.

Measured: calls a second, p99, and processor time a call, from 1, 16 and 64 clients; a page is the newest 100 signals as
JSON, some 100 kB. Ours joins them from text that is in memory, or reads them from PostgreSQL in one statement; the
volatile older design (peer/) has them as objects in a list, the durable one reads them from PostgreSQL.

How: a thousand signals made beforehand on both sides, one request repeated, sides in turn. The load generator reads
the length of a response and its bytes, no JSON; `generator busy` is its share of a core.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

from .bars import WARMING_BARS, simulated_bars
from .calls import beside_peers
from .generate import CLIENTS, QUOTE, SYMBOL
from .measure import Effort, Figure, at_least
from .processes import posted
from .service import VOLATILE, running_database, running_peers, running_service

SIGNALS = 1000
INDICATORS = {"bb_upper": 4262.1, "bb_lower": 4238.9, "ema_20": 4251.2, "ema_50": 4249.8, "atr": 3.4}
"""Further fields for the older design, so that its signals are as long as ours."""


async def run(effort: Effort) -> AsyncIterator[Figure]:
    """Measure what the module describes."""
    async with (
        running_database() as database,
        running_service(database, effort.service_python) as service,
        running_peers(database, effort.peer_python) as peers,
    ):
        await service.publish(simulated_bars(SYMBOL, WARMING_BARS + SIGNALS))
        for peer in peers.values():
            await posted(peer.port, f"/api/signals/burst?count={SIGNALS}", json.dumps(QUOTE | INDICATORS))
        for clients in CLIENTS:
            for figure in await beside_peers(
                effort,
                "GET history of 100",
                "GET /api/signals/history?limit=100",
                service=service,
                peers=peers,
                clients=clients,
                targets={VOLATILE: at_least(2.0 if clients == 1 else 1.5)},
            ):
                yield figure
