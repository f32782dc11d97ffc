"""What PostgreSQL has stored of a query for performance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import asyncpg
import numpy as np
import pytest
from tests.support.ledgers import BOOKS, SHADOW, Folded, folded, follow, trade
from tests.support.memory_store import MemoryStore

from tradingsignals_server.adapters.postgres import performance
from tradingsignals_server.adapters.postgres.connection import connections
from tradingsignals_server.adapters.postgres.outcomes import PostgresOutcomes
from tradingsignals_server.adapters.postgres.performance import performance_rows
from tradingsignals_server.adapters.postgres.store import PostgresStore
from tradingsignals_server.api.mapping.log_encoding import encode
from tradingsignals_server.api.mapping.log_messages import LOG_DECODERS
from tradingsignals_server.application.ports.performance import Basis, CurvePoint, PerformanceQuery
from tradingsignals_server.domain.outcomes import Fill, Outcome
from tradingsignals_server.domain.signals import Action, Origin

from .conftest import Storage

SIGNALS = PerformanceQuery(basis=Basis.SIGNALS)


@pytest.fixture(scope="module")
async def expected() -> Folded:
    """What the trading of `traded` comes to."""
    store = MemoryStore()
    await trade(store)
    return folded(store)


@pytest.fixture(scope="module")
async def traded(storage: Storage, migrated_database: str) -> str:
    """The address of a database after some trading, which the ledger has followed to the end of the log."""
    dsn = await storage.new_database(migrated_database)
    async with connections(dsn) as pool:
        store, outcomes = PostgresStore(pool, encode), PostgresOutcomes(pool, encode, LOG_DECODERS)
        await trade(store)
        for _ in range(2):
            await follow(store, outcomes)
    return dsn


def by_exit(outcomes: Sequence[Outcome]) -> list[Any]:
    return sorted((one.exit_time, one.outcome_id) for one in outcomes)


def curve_of(expected: Folded) -> list[CurvePoint]:
    return [CurvePoint(one.time, one.session_day, one.equity, one.exposure) for one in expected.equity]


@pytest.mark.parametrize(
    ("query", "counts"),
    [
        (PerformanceQuery(), lambda one: one.acted and one.fill is Fill.CLOSE),
        (SIGNALS, lambda one: one.fill is Fill.CLOSE),
        (replace(SIGNALS, fill=Fill.NEXT_OPEN), lambda one: one.fill is Fill.NEXT_OPEN),
        (replace(SIGNALS, symbol="EURCOP"), lambda one: one.symbol == "EURCOP" and one.fill is Fill.CLOSE),
        (replace(SIGNALS, action=Action.SELL), lambda one: one.action is Action.SELL and one.fill is Fill.CLOSE),
        (replace(SIGNALS, origin=Origin.REQUEST), lambda _: False),
        (replace(SIGNALS, model_version="placeholder", model_key=SHADOW), lambda one: one.fill is Fill.CLOSE),
        (replace(SIGNALS, model_version="none"), lambda _: False),
    ],
)
async def test_outcomes_of_a_query_in_the_order_of_their_exits(
    traded: str, expected: Folded, query: PerformanceQuery, counts: Callable[[Outcome], bool]
) -> None:
    rows = await performance_rows(traded, query)
    assert [one.exit_time for one in rows.outcomes] == sorted(one.exit_time for one in rows.outcomes)
    assert by_exit(rows.outcomes) == by_exit([one for one in expected.live if counts(one)])
    assert not rows.more_outcomes


async def test_outcomes_of_shadow_models_have_no_latencies(traded: str, expected: Folded) -> None:
    rows = await performance_rows(traded, replace(SIGNALS, shadow=True))
    assert by_exit(rows.outcomes) == by_exit([one for one in expected.shadow if one.fill is Fill.CLOSE])
    assert {name: len(values) for name, values in rows.latencies.items()} == {
        "inference_ms": 0,
        "close_to_commit_ms": 0,
    }


async def test_account_has_its_equity_and_a_part_of_it_none(traded: str, expected: Folded) -> None:
    rows = await performance_rows(traded, PerformanceQuery())
    assert rows.points == curve_of(expected)
    assert (rows.before, rows.more_points) == (None, False)
    assert (rows.initial_equity, rows.currency) == (BOOKS.account.initial_equity, BOOKS.currency)
    async with connections(traded) as pool:
        assert rows.through_sequence == (await PostgresStore(pool, encode).log_head()).newest
    assert (await performance_rows(traded, SIGNALS)).points == []


async def test_period_begins_with_the_equity_before_it(traded: str, expected: Folded) -> None:
    points = curve_of(expected)
    start, end = points[100].time, points[200].time
    rows = await performance_rows(traded, PerformanceQuery(start=start, end=end))
    assert (rows.points, rows.before) == (points[100:200], points[99])
    assert all(start <= one.exit_time < end for one in rows.outcomes)
    beyond = await performance_rows(traded, PerformanceQuery(start=points[-1].time + timedelta(days=1)))
    assert (beyond.points, beyond.before, beyond.outcomes) == ([], points[-1], [])


async def test_only_the_newest_are_read(traded: str, expected: Folded, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MOST_OUTCOMES", "MOST_POINTS", "MOST_SIGNALS"):
        monkeypatch.setattr(performance, name, 7)
    every = await performance_rows(traded, SIGNALS)
    rows = await performance_rows(traded, PerformanceQuery())
    assert (len(every.outcomes), every.more_outcomes) == (7, True)
    assert every.outcomes[-1].exit_time == max(one.exit_time for one in expected.live if one.fill is Fill.CLOSE)
    assert (rows.points, rows.before, rows.more_points) == (curve_of(expected)[-7:], curve_of(expected)[-8], True)
    assert len(rows.latencies["inference_ms"]) == 7


async def test_latency_to_the_commit_is_that_of_bars_that_came_when_they_closed(traded: str) -> None:
    database = await asyncpg.connect(traded)
    try:
        await database.execute("UPDATE bars SET received_at = time + interval '1 year' WHERE symbol = 'EURCOP'")
        set_ = "UPDATE bars SET received_at = time + interval '5 minutes' + interval '1 second' *"
        await database.execute(f"{set_} 0.25 WHERE symbol = 'USDCOP'")
        late = (
            f"{set_} 301 WHERE symbol = 'USDCOP' AND time = (SELECT max(bar_time) FROM signals WHERE symbol = 'USDCOP')"
        )
        await database.execute(late)
        made = await database.fetchval("SELECT count(*) FROM signals WHERE symbol = 'USDCOP'")
    finally:
        await database.close()
    found = (await performance_rows(traded, PerformanceQuery(symbol="USDCOP"))).latencies
    assert (len(found["inference_ms"]), len(found["close_to_commit_ms"])) == (made, made - 1)
    assert np.allclose(found["close_to_commit_ms"], 250.0)
    none = (await performance_rows(traded, PerformanceQuery(symbol="EURCOP"))).latencies
    assert len(none["close_to_commit_ms"]) == 0 < len(none["inference_ms"])
