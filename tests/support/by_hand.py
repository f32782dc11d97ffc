"""Observations and outputs of a policy, bar by bar, as a plain loop without the pipeline of the engine."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from tradingsignals_server.application.ports.policy import Policy
from tradingsignals_server.domain.bars import Bar
from tradingsignals_server.domain.calendar import calendar_for
from tradingsignals_server.domain.features import M5_V1, FeatureContext, Features, Observation
from tradingsignals_server.domain.recurrent_state import RecurrentState, ResetRule
from tradingsignals_server.domain.signals import Probabilities
from tradingsignals_server.domain.window import Window

WARM = 50


@dataclass(frozen=True, slots=True)
class BarObservation:
    """The observation of a bar, and the session of the bar."""

    bar: Bar
    session: date
    observation: Observation


@dataclass(frozen=True, slots=True)
class BarOutput:
    """The output for a bar, with the states before and after."""

    bar: Bar
    probabilities: Probabilities | None
    before: RecurrentState
    after: RecurrentState


def observations_of(bars: Sequence[Bar], features: Features = M5_V1) -> list[BarObservation]:
    """Return the observations of the bars of one symbol, oldest first, once its indicators are warm."""
    if not bars:
        return []
    calendar = calendar_for(bars[0].symbol)
    inside = [(bar, day) for bar in bars if (day := calendar.session_of(bar.time)) is not None]
    found = []
    for number in range(max(WARM, features.warm_bars), len(inside) + 1):
        bar, session = inside[number - 1]
        window = Window.of([one for one, _ in inside[max(0, number - features.history_bars) : number]])
        context = FeatureContext(window, calendar, calendar.progress(bar.time))
        found.append(BarObservation(bar, session, features.observe(context)))
    return found


def outputs_of(policy: Policy, observations: Iterable[BarObservation]) -> list[BarOutput]:
    """Return the outputs of `policy` for them, with its state carried and reset by its rule."""
    found: list[BarOutput] = []
    state, session = policy.initial_state(), None
    for observed_bar in observations:
        if observed_bar.session != session and policy.description.reset is ResetRule.SESSION:
            state = policy.initial_state()
        session, before = observed_bar.session, state
        probabilities, state = policy.decide(observed_bar.observation, before)
        found.append(BarOutput(observed_bar.bar, probabilities, before, state))
    return found
