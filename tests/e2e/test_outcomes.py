"""Outcomes and account of the running service: those of the log folded at once, whatever has been killed meanwhile."""

from __future__ import annotations

import asyncio
import json
import random
from typing import Any

import pytest
from tests.support.bars import messages
from tests.support.builders import now, walk
from tests.support.deadlines import within
from tests.support.folders import scratch_folder
from tests.support.ledgers import values_of
from tests.support.service import RunningService, running_service
from tests.support.settled import settled

from tradingsignals.v1.outcome_pb2 import Outcome
from tradingsignals_server.adapters.postgres.connection import Connections, connections
from tradingsignals_server.adapters.postgres.outcomes import PostgresOutcomes
from tradingsignals_server.adapters.postgres.store import PostgresStore
from tradingsignals_server.api.mapping.log_encoding import encode
from tradingsignals_server.api.mapping.log_messages import LOG_DECODERS
from tradingsignals_server.api.mapping.outcomes_to_proto import outcome_message
from tradingsignals_server.application.event_log.tail import LogTail
from tradingsignals_server.application.event_log.tailer import LogReader
from tradingsignals_server.application.ledger.keeper import Books, LedgerKeeper
from tradingsignals_server.domain.account import Account
from tradingsignals_server.domain.calendar import calendar_for
from tradingsignals_server.domain.costs import Charges
from tradingsignals_server.domain.equity import AccountFold, EquityPoint
from tradingsignals_server.domain.ledger import FollowedSignal, Ledger
from tradingsignals_server.domain.risk import RiskRules

BARS = messages(walk(900, seed=13))
PARTS = 6
RULES = RiskRules(spread=Charges.flat(0.0))
BOOKS = Books(lambda _: Ledger(RULES, calendar_for), Account.opened(RULES.initial_equity), RULES.account_currency)


async def folded(pool: Connections) -> tuple[list[Outcome], AccountFold]:
    """Fold the whole stored log at once."""
    ledger, fold, outcomes = BOOKS.make_ledger(""), AccountFold(BOOKS.account, calendar_for), list[Outcome]()
    for each in await PostgresOutcomes(pool, encode, LOG_DECODERS).ledger_events(0, 2**40):
        outcomes += map(outcome_message, ledger.apply(each.event))
        if not isinstance(each.event, FollowedSignal):
            fold.apply(each.event)
    return outcomes, fold


async def rebuild(pool: Connections) -> None:
    """Rebuild outcomes and account, as the command does."""
    store = PostgresStore(pool, encode)
    log_tail = LogTail(store, await store.log_head())
    stored = PostgresOutcomes(pool, encode, LOG_DECODERS)
    await LedgerKeeper(stored, log_tail, BOOKS, now, LogReader(store, log_tail).committed).rebuild()


async def tables(pool: Connections) -> dict[str, list[dict[str, Any]]]:
    """Read what the keeper has stored; neither the order of outcomes by number nor the place after idle entries."""
    async with pool.for_engine() as database:
        found = {name: await database.fetch(f"SELECT * FROM {name} ORDER BY 1") for name in ("outcomes", "equity")}
        account = json.loads(await database.fetchval("SELECT account FROM ledger"))
        found["events"] = await database.fetch("SELECT * FROM events ORDER BY sequence")
    rows = {name: [dict(row) for row in some] for name, some in found.items()}
    for row in rows["outcomes"]:
        del row["number"]
    return {**rows, "ledger": [account]}


async def listed(service: RunningService) -> list[Outcome]:
    """List all outcomes, in the order in which they were resolved."""
    async with service.client() as client:
        return [outcome async for outcome in client.list_outcomes(page_size=1000)][::-1]


async def reached(service: RunningService, expected: list[Outcome]) -> None:
    """Return once the service lists `expected`."""
    while await listed(service) != expected:
        await asyncio.to_thread(lambda: None)


async def streamed(service: RunningService, count: int) -> list[Outcome]:
    """Return the first outcomes that a follower of the whole log gets."""
    found = list[Outcome]()
    async with service.client() as client, client.follow(kinds=["OUTCOME"], resume_after=0) as follower:
        async for event in follower:
            found.append(event.outcome)
            if len(found) == count:
                return found
    raise AssertionError("a follower has no end")


@pytest.mark.parametrize("seed", range(2))
async def test_kill_at_any_time_leaves_outcomes_and_account_of_a_rebuild(seed: int) -> None:
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
            async with connections(service.dsn) as pool:
                expected, fold = await folded(pool)
                assert len(expected) > 100
                await within(reached(service, expected))
                async with service.client() as client:
                    await settled(client)  # the account follows bars without outcomes too
                kept = await tables(pool)
                assert values_of(Account.of_json(kept["ledger"][0])) == values_of(fold.account)
                assert [EquityPoint(**row) for row in kept["equity"]] == fold.take_points()
                assert await within(streamed(service, len(expected))) == expected
                assert sum(row["kind"] == "OUTCOME" for row in kept["events"]) == len(expected)
                await rebuild(pool)
                assert await tables(pool) == kept
