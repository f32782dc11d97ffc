"""What a policy is shown and says, bar by bar, written as a plain loop: the engine's pipeline has no part in it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from tradingsignals_server.application.ports.policy import Policy
from tradingsignals_server.domain.bars import Bar
from tradingsignals_server.domain.calendar import calendar_for
from tradingsignals_server.domain.features import Observation, observation
from tradingsignals_server.domain.indicators import indicators_of
from tradingsignals_server.domain.recurrent_state import RecurrentState, ResetRule
from tradingsignals_server.domain.signals import Probabilities
from tradingsignals_server.domain.window import Window

WARM, WINDOW = 50, 100


@dataclass(frozen=True, slots=True)
class Shown:
    """What a policy is shown of a bar, and the session it lies in."""

    bar: Bar
    session: date
    observation: Observation


@dataclass(frozen=True, slots=True)
class Said:
    """What it says to that, with the states before and after."""

    bar: Bar
    probabilities: Probabilities | None
    before: RecurrentState
    after: RecurrentState


def shown(bars: Sequence[Bar]) -> list[Shown]:
    """What the bars of one symbol, oldest first, are to a policy once its indicators are warm."""
    if not bars:
        return []
    calendar = calendar_for(bars[0].symbol)
    inside = [(bar, day) for bar in bars if (day := calendar.session_of(bar.time)) is not None]
    found = []
    for number in range(WARM, len(inside) + 1):
        bar, session = inside[number - 1]
        window = Window.of([one for one, _ in inside[max(0, number - WINDOW) : number]])
        found.append(Shown(bar, session, observation(window, indicators_of(window), calendar.progress(bar.time))))
    return found


def said(policy: Policy, sights: Iterable[Shown]) -> list[Said]:
    """What `policy` says to them one after the other, its state carried and reset by its rule."""
    found: list[Said] = []
    state, session = policy.initial_state(), None
    for sight in sights:
        if sight.session != session and policy.description.reset is ResetRule.SESSION:
            state = policy.initial_state()
        session, before = sight.session, state
        probabilities, state = policy.decide(sight.observation, before)
        found.append(Said(sight.bar, probabilities, before, state))
    return found
