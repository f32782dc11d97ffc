"""Truncated histories: a decision depends on the stored bars up to its own, wherever the history ends."""

from __future__ import annotations

import math
import random
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
import pytest
from tests.support.bars import a_month
from tests.support.builders import walk
from tests.support.by_hand import BarOutput, observations_of, outputs_of
from tests.support.memory_store import MemoryStore
from tests.support.model_files import shipped_model
from tests.support.running import running_engine

from tradingsignals_server.adapters.onnx.policy import OnnxPolicy
from tradingsignals_server.application.decision.pipeline import Pipeline
from tradingsignals_server.application.decision.trader import Trader
from tradingsignals_server.application.ingest.states import restored
from tradingsignals_server.application.ports.policy import Policy, PolicyOutput
from tradingsignals_server.domain.bars import Bar
from tradingsignals_server.domain.calendar import calendar_for
from tradingsignals_server.domain.events import MarketUpdate
from tradingsignals_server.domain.features import Observation
from tradingsignals_server.domain.intervals import DEFAULT_INTERVAL
from tradingsignals_server.domain.recurrent_state import RecurrentState
from tradingsignals_server.domain.risk import RiskRules, Sizing
from tradingsignals_server.domain.signals import Action, Signal

RULES = RiskRules(confidence_threshold=0.34, sizing=Sizing.KELLY, kelly_fraction=1.0)
"""The preferred action of the policy is always taken, and its result shows in the size of the next position."""
THREE_DAYS = [datetime(2024, 3, 4, tzinfo=UTC) + number * DEFAULT_INTERVAL for number in range(3 * 288)]


class Forgetful:
    """A recurrent policy with a defect: its state is discarded at every call."""

    def __init__(self, policy: Policy) -> None:
        self.description = policy.description
        self.features = policy.features
        self._policy = policy

    def initial_state(self) -> RecurrentState:
        """See Policy."""
        return self._policy.initial_state()

    def decide(self, observation: Observation, state: RecurrentState) -> PolicyOutput:
        """See Policy."""
        probabilities, _ = self._policy.decide(observation, self.initial_state())
        return probabilities, state

    def decide_batch(
        self, observations: npt.NDArray[np.float32], states: Sequence[RecurrentState]
    ) -> list[PolicyOutput]:
        """See Policy."""
        return [self.decide(row, state) for row, state in zip(observations, states, strict=True)]


@dataclass(frozen=True, slots=True, repr=False)  # asyncio would print it, bar by bar
class Run:
    """A run over all bars of one symbol: what an engine stored, and the outputs of the policy called directly."""

    bars: Sequence[Bar]
    store: MemoryStore
    signals: Sequence[Signal]
    outputs: Sequence[BarOutput]

    def until(self, bar: Bar) -> MemoryStore:
        """Return the stored state before `bar`, except the recurrent state."""
        events = self.store.events
        end = next(n for n, event in enumerate(events) if isinstance(event, MarketUpdate) and event.bar == bar)
        store = MemoryStore()
        store.events, store.entries = events[:end], self.store.entries[:end]
        return store


def policy() -> OnnxPolicy:
    return OnnxPolicy(shipped_model())


async def run_of(bars: Sequence[Bar], decides: Policy) -> Run:
    async with running_engine(policy=decides, rules=RULES) as running:
        await running.publish(bars)
    return Run(bars, running.store, running.store.signals(), outputs_of(policy(), observations_of(bars)))


@pytest.fixture(scope="module")
async def month() -> Run:
    return await run_of(a_month(), policy())


async def differing(run: Run, decides: Policy, cuts: int) -> list[Bar]:
    """Those of a number of random bars on which `decides`, restored from what was stored by then, is not as in the run.

    That is in any number of its signal, or any bit of the state it goes on with.
    """
    symbol, found = run.signals[0].symbol, list[Bar]()
    pipeline = Pipeline(Trader(decides, RULES), calendar_for)
    for place in random.Random(symbol).sample(range(len(run.signals)), cuts):
        signal, by_hand = run.signals[place], run.outputs[place]
        assert signal.bar_time == by_hand.bar.time
        step = pipeline.on_bar(await restored(run.until(by_hand.bar), pipeline, symbol), by_hand.bar)
        assert step.signal is not None
        same = (
            step.signal == signal
            and bits(step.signal) == bits(signal)
            and step.signal.probabilities == by_hand.probabilities
            and step.state.live.recurrent == by_hand.after
        )
        if not same:
            found.append(by_hand.bar)
    return found


def bits(signal: Signal) -> bytes:
    """Return its probabilities, levels and size."""
    given, decided = signal.probabilities, signal.decision
    levels = (math.nan if level is None else level for level in (decided.stop_loss, decided.take_profit))
    return struct.pack("<7d", given.hold, given.buy, given.sell, decided.confidence, *levels, decided.position_size)


@pytest.mark.slow
async def test_decision_depends_only_on_the_stored_bars_up_to_its_own(month: Run) -> None:
    assert {signal.action for signal in month.signals} == {Action.HOLD, Action.BUY, Action.SELL}
    assert await differing(month, policy(), cuts=250) == []


@pytest.mark.slow
async def test_decision_at_the_end_of_a_round_the_clock_session_depends_only_on_its_bars() -> None:
    run = await run_of(walk(len(THREE_DAYS), seed=6, symbol="EURUSD", times=THREE_DAYS), policy())
    assert await differing(run, policy(), cuts=60) == []


@pytest.mark.slow
async def test_recurrent_state_discarded_at_each_bar_is_detected(month: Run) -> None:
    """It is detected after the cut, in the run, and if both have the defect."""
    forgetful = await run_of(month.bars, Forgetful(policy()))
    for run, decides in ((month, Forgetful(policy())), (forgetful, policy()), (forgetful, Forgetful(policy()))):
        assert len(await differing(run, decides, cuts=50)) > 40
