"""What access costs: the same load on services with AUTH=on and AUTH=off, side by side.

Measured: calls a second, and processor time of server and edge a call, of GET /api/signals/latest and of POST
/api/signals/generate, from 16 clients through Envoy; with AUTH=on each call has the API key of an administrator, which
is looked up, compared, and counted against a rate that is never reached, and each POST has its entry in the audit log.
Ratios are to AUTH=off.

How: two services, each on a PostgreSQL of its own, measured in turn; the one that is not measured is idle.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial

import tradingsignals
from tradingsignals_server.adapters.postgres.api_keys import PostgresKeys
from tradingsignals_server.adapters.postgres.connection import connections
from tradingsignals_server.application.access.key_service import KeyService
from tradingsignals_server.bootstrap.engine import utc_now
from tradingsignals_server.domain.access import Role

from .bars import WARMING_BARS, simulated_bars
from .cpu import compared, metered
from .generate import QUOTE, SYMBOL
from .load import rest_load
from .measure import Effort, Figure, at_least, at_most, in_turn, ratio
from .service import Service, running_database, running_service

OFF, ON = "AUTH=off", "AUTH=on"
CLIENTS = 16
CALLS = {"GET /api/signals/latest": "", "POST /api/signals/generate": json.dumps(QUOTE)}
"""Bodies of the calls."""

COST, RATE = at_most(1.05), at_least(0.95)
UNREACHED = "admin=1000000"


async def run(effort: Effort) -> AsyncIterator[Figure]:
    """Measure what the module describes."""
    async with AsyncExitStack() as stack:
        off, _ = await stack.enter_async_context(_service(effort, "off"))
        on, key = await stack.enter_async_context(_service(effort, "on"))
        for call, body in CALLS.items():
            load = partial(rest_load, request_line=call, clients=CLIENTS, seconds=effort.seconds, body=body)
            sides = {
                OFF: partial(metered, off.processes, partial(load, off.rest_port)),
                ON: partial(metered, on.processes, partial(load, on.rest_port, headers={"x-api-key": key})),
            }
            runs = await in_turn(effort, sides)
            what = f"{call}, {CLIENTS} clients"
            cpu = {side: [(one.cpu_seconds, one.result.sent) for one in of_side] for side, of_side in runs.items()}
            for figure in compared(what, cpu, OFF, COST):
                yield figure
            rates = {side: [one.result.per_second for one in of_side] for side, of_side in runs.items()}
            for side, of_side in rates.items():
                yield Figure(f"{what}, {side}", "calls/s", of_side)
            yield ratio(f"{what}, calls a second: {ON} to {OFF}", rates[ON], rates[OFF], RATE)


@asynccontextmanager
async def _service(effort: Effort, auth: str) -> AsyncIterator[tuple[Service, str]]:
    """A service with bars, and the API key of an administrator."""
    settings = {"AUTH": auth, "RATE_LIMITS": UNREACHED}
    async with (
        running_database() as database,
        running_service(database, effort.service_python, settings=settings) as service,
    ):
        async with connections(database.dsn) as pool:
            keys = KeyService(PostgresKeys(pool, database.dsn), utc_now, secrets.token_bytes)
            key = (await keys.create("benchmark", Role.ADMIN, None, ())).text
        await _until_known(service, key)
        await service.publish(simulated_bars(SYMBOL, WARMING_BARS), api_key=key)
        yield service, key


async def _until_known(service: Service, key: str) -> None:
    """Wait until the service has learned of the key, which takes it up to a second."""
    async with asyncio.timeout(10.0), tradingsignals.connect(f"127.0.0.1:{service.rest_port}", api_key=key) as client:
        while True:
            with suppress(tradingsignals.AccessDenied):
                await client.service_info()
                return
            await asyncio.sleep(0.05)
