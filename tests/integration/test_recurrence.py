"""A month of bars through engine and database: outputs equal those of a reference implementation."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import asyncpg
import numpy as np
import numpy.typing as npt
import pytest
from tests.support.bars import a_month
from tests.support.by_hand import WARM, BarObservation, observations_of, outputs_of
from tests.support.deadlines import DEADLINE
from tests.support.engine import running_engine
from tests.support.model_files import shipped_model
from tests.support.numpy_lstm import read_policy, torch_outputs
from tests.support.recount import session_day

from tradingsignals_server.adapters.onnx.policy import OnnxPolicy
from tradingsignals_server.adapters.postgres.connection import connections
from tradingsignals_server.adapters.postgres.store import PostgresStore
from tradingsignals_server.api.mapping.log_encoding import encode
from tradingsignals_server.domain.bars import Bar
from tradingsignals_server.domain.signals import Probabilities

from .conftest import Storage

TOLERANCE = 1e-5

Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, repr=False)  # asyncio would print it, bar by bar
class Month:
    """Bars, their observations, and the signals that the service stored."""

    bars: Sequence[Bar]
    observed_bars: Sequence[BarObservation]
    signals: list[asyncpg.Record]
    states: list[asyncpg.Record]

    @property
    def probabilities(self) -> Float64:
        """Probabilities of HOLD, BUY and SELL from the table, shape (n, 3)."""
        columns = ("hold_probability", "buy_probability", "sell_probability")
        return np.array([[row[name] for name in columns] for row in self.signals])

    @property
    def sessions(self) -> list[npt.NDArray[np.float32]]:
        """The observations of each session, shape (n, 16)."""
        by_session = groupby(self.observed_bars, key=lambda one: one.session)
        return [np.stack([one.observation for one in group]) for _, group in by_session]


async def stored(database: str) -> tuple[list[asyncpg.Record], list[asyncpg.Record]]:
    """Read the signals and recurrent states in a database."""
    looking = await asyncpg.connect(database, timeout=DEADLINE)
    try:
        signals = await looking.fetch(
            "SELECT bar_time, hold_probability, buy_probability, sell_probability, action, confidence, stop_loss, "
            "take_profit, position_size, model_version, simulated, model_failed FROM signals ORDER BY sequence"
        )
        return signals, await looking.fetch("SELECT * FROM recurrent_states")
    finally:
        await looking.close()


@pytest.fixture(scope="module")
async def month(storage: Storage, migrated_database: str) -> Month:
    """A month of bars, published to an engine without a fault."""
    bars = a_month()
    database = await storage.new_database(migrated_database)
    async with (
        connections(database) as pool,
        running_engine(PostgresStore(pool, encode), policy=OnnxPolicy(shipped_model())) as running,
    ):
        await running.publish(bars)
    return Month(bars, observations_of(bars), *await stored(database))


def test_every_warm_bar_has_the_signal_of_the_policy(month: Month) -> None:
    inside = [bar.time for bar in month.bars if session_day(bar.time) is not None]
    assert [row["bar_time"] for row in month.signals] == inside[WARM - 1 :]
    assert {(row["simulated"], row["model_failed"]) for row in month.signals} == {(False, False)}
    assert len(month.signals) >= 1000


def test_probabilities_equal_those_of_the_numpy_reference(month: Month) -> None:
    found = month.probabilities
    np.testing.assert_allclose(found, in_numpy(month), atol=TOLERANCE, rtol=0)
    # They would not be if the state were thrown away at each bar, or never reset.
    assert np.abs(found - in_numpy(month, forgets=True)).max(axis=1).mean() > 100 * TOLERANCE
    assert np.abs(found - in_numpy(month, resets=False)).max() > 100 * TOLERANCE


def in_numpy(month: Month, *, forgets: bool = False, resets: bool = True) -> Float64:
    """Return the outputs of the reference, reset at each session, at every bar, or never."""
    policy = read_policy(shipped_model())
    outputs = []
    for session in month.sessions:
        if resets:
            policy.reset()
        for observation in session:
            if forgets:
                policy.reset()
            outputs.append(policy.decide(observation))
    return np.array(outputs)


def test_probabilities_equal_those_of_torch(month: Month) -> None:
    torch = pytest.importorskip("torch", reason="needs the extra `train`")
    expected = torch_outputs(torch, read_policy(shipped_model()), month.sessions)
    np.testing.assert_allclose(month.probabilities, expected, atol=TOLERANCE, rtol=0)


def test_probabilities_are_bit_identical_to_single_inferences(month: Month) -> None:
    outputs = outputs_of(OnnxPolicy(shipped_model()), month.observed_bars)
    for row, output in zip(month.signals, outputs, strict=True):
        found = Probabilities(row["hold_probability"], row["buy_probability"], row["sell_probability"])
        assert found == output.probabilities, output.bar.time
    (state,) = month.states
    newest = outputs[-1]
    assert (state["bar_time"], state["before"], state["after"]) == (
        *(newest.bar.time, newest.before.to_bytes(), newest.after.to_bytes()),
    )


@pytest.mark.parametrize("state", ["as it was carried", "lost"])
async def test_restarted_engines_store_bit_identical_signals(
    month: Month, dsn: str, sql: asyncpg.Connection, state: str
) -> None:
    # Not among the last, so that there is a state again in the end.
    cuts = sorted(random.Random(state).sample(range(1, len(month.bars) - 100), 12))
    for start, end in zip([0, *cuts], [*cuts, len(month.bars)], strict=True):
        if state == "lost":
            await sql.execute("DELETE FROM recurrent_states")
        async with (
            connections(dsn) as pool,
            running_engine(PostgresStore(pool, encode), policy=OnnxPolicy(shipped_model())) as running,
        ):
            await running.publish(month.bars[start:end])
            await running.publish(month.bars[max(0, start - 50) : end])
    assert await stored(dsn) == (month.signals, month.states)
