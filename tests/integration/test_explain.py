"""A month of signals in PostgreSQL: each explains and replays equal, and whatever is altered is named."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import asyncpg
import pytest
from tests.support.bars import a_month
from tests.support.builders import NOW
from tests.support.deadlines import DEADLINE
from tests.support.engine import running_engine
from tests.support.model_files import shipped_model

from tradingsignals_server.adapters.onnx.policy import OnnxPolicy
from tradingsignals_server.adapters.postgres.connection import connections
from tradingsignals_server.adapters.postgres.store import PostgresStore
from tradingsignals_server.api.mapping.log_encoding import encode
from tradingsignals_server.api.mapping.log_messages import market_update_of, signal_of
from tradingsignals_server.application.decision.quotes import Quote
from tradingsignals_server.application.explain.differences import CauseKind
from tradingsignals_server.application.explain.service import Decoders, SignalExplainer
from tradingsignals_server.application.ports.policy import Policy
from tradingsignals_server.domain.risk import RiskRules, Sizing
from tradingsignals_server.domain.rule_results import RuleVerdict
from tradingsignals_server.domain.signal_errors import InputsNotStored, SignalNotFound
from tradingsignals_server.domain.signals import Action, Signal

from .conftest import Storage

RULES = RiskRules(confidence_threshold=0.4, sizing=Sizing.KELLY)


@dataclass(frozen=True, slots=True, repr=False)
class Month:
    """A database with the signals of a month, and requested signals at its end."""

    database: str
    policy: OnnxPolicy
    signals: Sequence[Signal]


@pytest.fixture(scope="module")
async def month(storage: Storage, migrated_database: str) -> Month:
    """A month of bars, and then requested signals."""
    database = await storage.new_database(migrated_database)
    policy = OnnxPolicy(shipped_model())
    async with connections(database) as pool:
        async with running_engine(PostgresStore(pool, encode), policy=policy, rules=RULES) as running:
            bars = a_month()
            await running.publish(bars)
            for lookback in (50, 100, 300):
                await running.engine.generate_from_stored("USDCOP", lookback)
            price = bars[-1].close
            await running.engine.generate("USDCOP", Quote(price * 1.001))
            await running.engine.generate("USDCOP", Quote(price, rsi=20.0, atr=5.0, open_price=price * 1.002))
            await running.engine.generate("EURUSD", Quote(1.1))
        async with pool.for_read() as reading:
            rows = await reading.fetch("SELECT message FROM signals ORDER BY sequence")
    return Month(database, policy, [signal_of(row["message"]) for row in rows])


@pytest.fixture
async def explainer(month: Month) -> AsyncIterator[SignalExplainer]:
    """An explainer of the month with the policy's file at hand."""
    async with connections(month.database) as pool:
        yield explainer_on(PostgresStore(pool, encode), month.policy)


def explainer_on(store: PostgresStore, policy: Policy | None) -> SignalExplainer:
    """Return an explainer that finds `policy`, whatever the key."""
    return SignalExplainer(store, lambda _: policy, Decoders(signal_of, market_update_of))


async def execute(month: Month, statement: str, *values: object) -> None:
    """Change the database behind the service's back."""
    connection = await asyncpg.connect(month.database, timeout=DEADLINE)
    try:
        await connection.execute(statement, *values)
    finally:
        await connection.close()


async def test_every_signal_replays_equal(month: Month, explainer: SignalExplainer) -> None:
    assert {signal.action for signal in month.signals} == set(Action)
    assert len(month.signals) > 1000
    for signal in month.signals:
        replay = (await explainer.replay(signal.signal_id)).replay
        assert replay.equal, (signal.bar_time, signal.origin, replay)


async def test_every_signal_explains_as_a_sum(month: Month, explainer: SignalExplainer) -> None:
    dice = random.Random(1)
    chosen = [*dice.sample(list(month.signals), 60), *month.signals[:3], *month.signals[-6:]]
    for signal in chosen:
        found = (await explainer.explain(signal.signal_id)).explanation
        assert found.missing == ()
        attribution = found.attribution
        assert attribution is not None
        parts = sum(one.log_odds for one in attribution.contributions)
        assert attribution.baseline_log_odds + parts == pytest.approx(attribution.log_odds, abs=1e-6)
        assert attribution.log_odds == dict(found.log_odds)[signal.probabilities.choice()[0]]
        assert [one.name for one in found.features] == list(month.policy.features.names)
        stopped = [one for one in found.rules if one.verdict is RuleVerdict.STOPPED]
        assert len(stopped) <= 1
        assert all(set(one.sentence.split("; ")) <= set(signal.decision.reasoning) for one in stopped)


async def test_altered_bar_is_named(month: Month, explainer: SignalExplainer) -> None:
    signal = month.signals[500]
    assert signal.bar_time is not None
    change = "UPDATE bars SET close = close + $2, high = high + 1, low = low - 1 WHERE symbol = 'USDCOP' AND time = $1"
    await execute(month, change, signal.bar_time, 0.25)
    try:
        replay = (await explainer.replay(signal.signal_id)).replay
        later = (await explainer.replay(month.signals[550].signal_id)).replay
        earlier = (await explainer.replay(month.signals[499].signal_id)).replay
        explanation = (await explainer.explain(signal.signal_id)).explanation
    finally:
        undo = (
            "UPDATE bars SET close = close - $2, high = high - 1, low = low + 1 WHERE symbol = 'USDCOP' AND time = $1"
        )
        await execute(month, undo, signal.bar_time, 0.25)

    for found in (replay, later):
        assert not found.equal
        assert [(cause.kind, cause.time) for cause in found.causes] == [(CauseKind.BAR, signal.bar_time)]
        assert "was altered: high was" in found.causes[0].sentence
    assert {"window_hash", "entry_price"} <= {one.field for one in replay.differences}
    assert earlier.equal
    assert any("no longer those" in sentence for sentence in explanation.missing)


async def test_altered_state_settings_and_signal_are_told_apart(month: Month, explainer: SignalExplainer) -> None:
    signal = month.signals[600]
    where = "WHERE sequence = (SELECT sequence FROM signals WHERE signal_id = $1)"
    found = {}
    for name, change, undo in (
        (
            CauseKind.RECURRENT_STATE,
            f"UPDATE signal_inputs SET state = set_byte(state, 2, 255 - get_byte(state, 2)) {where}",
            f"UPDATE signal_inputs SET state = set_byte(state, 2, 255 - get_byte(state, 2)) {where}",
        ),
        (
            CauseKind.SIGNAL,
            f"UPDATE signal_inputs SET next_state_hash = '\\x00' || next_state_hash {where}",
            f"UPDATE signal_inputs SET next_state_hash = substring(next_state_hash FROM 2) {where}",
        ),
    ):
        await execute(month, change, signal.signal_id)
        found[name] = (await explainer.replay(signal.signal_id)).replay
        await execute(month, undo, signal.signal_id)
    await execute(month, "UPDATE decision_settings SET content = replace(content, '0.4', '0.99')")
    found[CauseKind.SETTINGS] = (await explainer.replay(signal.signal_id)).replay
    await execute(month, "UPDATE decision_settings SET content = replace(content, '0.99', '0.4')")

    for kind, replay in found.items():
        assert not replay.equal
        assert [cause.kind for cause in replay.causes] == [kind]
    assert (await explainer.replay(signal.signal_id)).replay.equal


async def test_missing_model_is_said(month: Month) -> None:
    async with connections(month.database) as pool:
        explainer = explainer_on(PostgresStore(pool, encode), None)
        signal = month.signals[-20]
        replay = (await explainer.replay(signal.signal_id)).replay
        explanation = (await explainer.explain(signal.signal_id)).explanation
    assert [cause.kind for cause in replay.causes] == [CauseKind.MODEL]
    assert month.policy.description.key in replay.causes[0].sentence
    assert explanation.attribution is None
    assert explanation.rules
    assert month.policy.description.key in explanation.missing[0]


async def test_unknown_signal_is_not_found(explainer: SignalExplainer) -> None:
    with pytest.raises(SignalNotFound, match="there is no signal"):
        await explainer.explain(UUID(int=1))
    with pytest.raises(SignalNotFound, match="there is no signal"):
        await explainer.replay(UUID(int=1))


async def test_inputs_are_pruned_with_the_log(storage: Storage, month: Month, migrated_database: str) -> None:
    database = await storage.new_database(migrated_database)
    async with connections(database) as pool:
        store = PostgresStore(pool, encode)
        async with running_engine(store, policy=month.policy) as running:
            await running.publish(a_month()[:120])
        message = await store.latest_signal("USDCOP")
        assert message is not None
        signal_id = signal_of(message).signal_id
        explainer = explainer_on(store, month.policy)
        assert (await explainer.replay(signal_id)).replay.equal

        assert await store.prune(NOW + timedelta(days=1), 10_000)
        with pytest.raises(InputsNotStored, match="SIGNAL_RETENTION_DAYS"):
            await explainer.replay(signal_id)
        explanation = (await explainer.explain(signal_id)).explanation
        assert len(explanation.missing) == 1
        async with pool.for_read() as reading:
            assert await reading.fetchval("SELECT count(*) FROM signal_inputs") == 0
