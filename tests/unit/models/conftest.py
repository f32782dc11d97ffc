"""Histories to train on: a simulated market's sessions, and a month of an uneven feed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import numpy as np
import numpy.typing as npt
import pytest
from models.training.book import CERTAIN
from models.training.history import History
from tests.support.builders import feed_bars
from tests.support.histories import simulated_market

from tradingsignals_server.application.decision.pipeline import Pipeline
from tradingsignals_server.application.decision.symbol_state import NO_STATE, SymbolState
from tradingsignals_server.application.decision.trader import Trader
from tradingsignals_server.application.ports.policy import PolicyDescription, PolicyOutput
from tradingsignals_server.domain.calendar import calendar_for
from tradingsignals_server.domain.features import M5_V1, Observation
from tradingsignals_server.domain.positions import Position
from tradingsignals_server.domain.recurrent_state import RecurrentState
from tradingsignals_server.domain.risk import RiskRules
from tradingsignals_server.domain.signals import Action
from tradingsignals_server.domain.window import Window


@pytest.fixture(scope="session")
def market() -> History:
    """See simulated_market."""
    return simulated_market()


@pytest.fixture(scope="session")
def uneven_month() -> History:
    """A month of bars of a feed, with holidays and truncated sessions."""
    return History.of(feed_bars(date(2021, 7, 1), date(2021, 8, 5)))


class Scripted:
    """A policy with a predetermined action for every bar, which records its observations."""

    description = PolicyDescription(version="scripted", type="test", mode="onnx")
    features = M5_V1

    def __init__(self, script: Sequence[Action]) -> None:
        self._script = iter(script)
        self.observations = list[Observation]()

    def initial_state(self) -> RecurrentState:
        """See application.ports.Policy."""
        return NO_STATE

    def decide(self, observation: Observation, state: RecurrentState) -> PolicyOutput:
        """See application.ports.Policy."""
        self.observations.append(observation)
        return CERTAIN[next(self._script)], state

    def decide_batch(
        self, observations: npt.NDArray[np.float32], states: Sequence[RecurrentState]
    ) -> list[PolicyOutput]:
        """See application.ports.Policy."""
        return [self.decide(row, state) for row, state in zip(observations, states, strict=True)]


def live(history: History, rules: RiskRules, script: Sequence[Action]) -> tuple[Scripted, list[Position]]:
    """Run the pipeline of the service over the bars; return the policy, with its observations, and closed positions."""
    policy = Scripted(script)
    calendar = calendar_for(history.bars[0].symbol)
    pipeline = Pipeline(Trader(policy, rules), lambda _: calendar)
    state = SymbolState(history.bars[0].symbol, calendar, Window.empty())
    closed = list[Position]()
    for bar in history.bars:
        step = pipeline.on_bar(state, bar)
        state = step.state
        closed += [event for event in step.events if isinstance(event, Position) and not event.is_open]
    return policy, closed


def script_for(history: History, seed: int) -> list[Action]:
    """Return random actions for every bar that makes a signal; runs of HOLD keep positions open for a while."""
    acts = (Action.BUY, Action.SELL, *[Action.HOLD] * 6)
    drawn = np.random.default_rng(seed).integers(len(acts), size=sum(map(len, history.sessions)))
    return [acts[number] for number in drawn]
