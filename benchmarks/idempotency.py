"""What an idempotency key costs a call: the same load without keys, with a new key each, and with one key again.

Measured: processor time of the server, Envoy and PostgreSQL together for one POST generate through Envoy, with 16
clients, and its ratio to that without keys.

How: one service, the three loads in turn. A call with a new key looks it up and commits a row more; one with a key that
was used gets the response of the first call, and commits nothing.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from itertools import count, repeat

from .bars import WARMING_BARS, simulated_bars
from .cpu import Metered, metered
from .generate import QUOTE, SYMBOL
from .load import Load, rest_load
from .measure import Effort, Figure, in_turn, ratio
from .service import running_database, running_service

CLIENTS = 16
WITHOUT, NEW, AGAIN = "without a key", "with a new key", "with a key again"


async def run(effort: Effort) -> AsyncIterator[Figure]:
    """Measure what the module describes."""
    numbers = count()
    keys: dict[str, Callable[[], Iterator[str] | None]] = {
        WITHOUT: lambda: None,
        NEW: lambda: (f"{number:032x}" for number in numbers),
        AGAIN: lambda: repeat("the-same"),
    }
    async with running_database() as database, running_service(database, effort.service_python) as service:
        await service.publish(simulated_bars(SYMBOL, WARMING_BARS))
        sides = {
            name: partial(metered, service.processes, partial(_load, service.rest_port, effort.seconds, of_side))
            for name, of_side in keys.items()
        }
        runs = await in_turn(effort, sides)
    costs = {name: [_milliseconds(one) for one in of_side] for name, of_side in runs.items()}
    for name, of_cost in costs.items():
        yield Figure(f"POST generate, {CLIENTS} clients, {name}: all programs", "ms CPU", of_cost)
    for name in (NEW, AGAIN):
        yield ratio(f"POST generate, {CLIENTS} clients: {name} to {WITHOUT}", costs[name], costs[WITHOUT])


async def _load(port: int, seconds: float, keys: Callable[[], Iterator[str] | None]) -> Load:
    request = "POST /api/signals/generate"
    return await rest_load(port, request, CLIENTS, seconds, json.dumps(QUOTE), keys=keys())


def _milliseconds(one: Metered[Load]) -> float:
    return 1e3 * sum(one.cpu_seconds.values()) / one.result.sent
