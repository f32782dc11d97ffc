"""Outcomes of the running service: those of the log folded at once, whatever has been killed meanwhile."""

from __future__ import annotations

import asyncio
import random

import pytest
from tests.support.bars import messages
from tests.support.builders import walk
from tests.support.deadlines import within
from tests.support.folders import scratch_folder
from tests.support.service import RunningService, running_service

from tradingsignals.v1.outcome_pb2 import Outcome
from tradingsignals_server.adapters.postgres.connection import connections
from tradingsignals_server.adapters.postgres.outcomes import PostgresOutcomes
from tradingsignals_server.api.mapping.outcomes_to_proto import outcome_message
from tradingsignals_server.domain.calendar import calendar_for
from tradingsignals_server.domain.costs import Charges
from tradingsignals_server.domain.ledger import Ledger
from tradingsignals_server.domain.risk import RiskRules

BARS = messages(walk(900, seed=13))
PARTS = 6


async def folded(service: RunningService) -> list[Outcome]:
    """Fold the whole stored log at once."""
    ledger = Ledger(RiskRules(spread=Charges.flat(0.0)), calendar_for)
    async with connections(service.dsn) as pool:
        events = await PostgresOutcomes(pool).ledger_events(0, 2**40)
    return [outcome_message(outcome) for each in events for outcome in ledger.apply(each.event)]


async def listed(service: RunningService) -> list[Outcome]:
    """List all outcomes, in the order in which they were resolved."""
    async with service.client() as client:
        return [outcome async for outcome in client.list_outcomes(page_size=1000)][::-1]


async def reached(service: RunningService, expected: list[Outcome]) -> None:
    """Return once the service lists `expected`."""
    while await listed(service) != expected:
        await asyncio.to_thread(lambda: None)


@pytest.mark.parametrize("seed", range(2))
async def test_kill_at_any_time_leaves_the_outcomes_of_a_rebuild(seed: int) -> None:
    dice = random.Random(seed)
    with scratch_folder() as folder:
        async with running_service(folder) as service:
            size = len(BARS) // PARTS
            for part in range(PARTS):
                async with service.client() as client:
                    await client.publish_bars(BARS[part * size : (part + 1) * size])
                    # The keeper is somewhere between its commits by then.
                    for _ in range(dice.randrange(12)):
                        await client.health()
                await service.kill()
                await service.start()
            expected = await folded(service)
            assert len(expected) > 100
            await within(reached(service, expected))
