"""The trader: its recurrent state, the reset rule, and outputs that are not finite."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import numpy as np
import numpy.typing as npt
import pytest
from tests.support.builders import session_times, walk
from tests.support.calibrations import CALIBRATION
from tests.support.running import always, running_engine

from tradingsignals_server.application.decision.trader import Trader
from tradingsignals_server.application.ingest.states import LONGEST_SESSION
from tradingsignals_server.application.ports.policy import PolicyDescription, PolicyOutput
from tradingsignals_server.domain.bars import Bar
from tradingsignals_server.domain.calendar import AlwaysOpenCalendar, BogotaCalendar, SessionCalendar
from tradingsignals_server.domain.features import M5_V1, Observation
from tradingsignals_server.domain.recurrent_state import RecurrentState, ResetRule
from tradingsignals_server.domain.risk import RiskRules
from tradingsignals_server.domain.signals import Action, Probabilities, WinEstimate
from tradingsignals_server.domain.window import LOOKBACK_BARS

RETURN = M5_V1.names.index("return_1")


class CountingPolicy:
    """A policy whose hidden state counts the bars since the last reset, and whose cell state is the last return.

    Its output depends on both. It is not finite on a return above `breaks_above`.
    """

    def __init__(self, reset: ResetRule = ResetRule.SESSION, breaks_above: float = 10.0) -> None:
        self.description = PolicyDescription("c1", "test", "onnx", reset=reset, layers=1, hidden_size=1)
        self.features = M5_V1
        self._breaks_above = breaks_above

    def initial_state(self) -> RecurrentState:
        return RecurrentState.zeros(1, 1)

    def decide(self, observation: Observation, state: RecurrentState) -> PolicyOutput:
        if observation[RETURN] >= self._breaks_above:
            return None, self.initial_state()
        count = float(state.hidden[0, 0])
        share = 0.5 + min(count, 400.0) / 1000.0 + 1e-3 * float(state.cell[0, 0])
        after = RecurrentState(np.array([[[count + 1.0]], [[observation[RETURN]]]], dtype=np.float32))
        return Probabilities(1.0 - share, share, 0.0), after

    def decide_batch(
        self, observations: npt.NDArray[np.float32], states: Sequence[RecurrentState]
    ) -> list[PolicyOutput]:
        return [self.decide(row, state) for row, state in zip(observations, states, strict=True)]


async def test_signal_has_the_win_probability_of_a_calibrated_model() -> None:
    """The policy buys with 0.5 and a little more, which is in the first bin of BUY."""
    policy = CountingPolicy()
    policy.description = replace(policy.description, win_calibration=CALIBRATION)
    async with running_engine(policy=policy) as running:
        await running.publish(walk(70))
        made = running.store.signals()
    bought = [signal for signal in made if signal.probabilities.buy > 0.5]
    assert bought
    for signal in made:
        assert signal.decision.win == (WinEstimate(0.4, 120) if signal in bought else None)


def counts(state: RecurrentState) -> float:
    return float(state.hidden[0, 0])


@pytest.mark.parametrize(("reset", "carried"), [(ResetRule.SESSION, 60.0), (ResetRule.NEVER, 71.0)])
async def test_state_is_carried_and_reset_by_the_rule_of_its_model(reset: ResetRule, carried: float) -> None:
    """A session has 60 bars: in the first one 49 warm up and 11 are decided on, in the second all 60."""
    async with running_engine(policy=CountingPolicy(reset)) as running:
        await running.publish(walk(120))
        (state,) = running.engine.states()
        assert (counts(state.live.recurrent_before), counts(state.live.recurrent)) == (carried - 1.0, carried)
        (stored,) = running.store.checkpoints.values()
        assert (stored.symbol, stored.policy, stored.bar_time) == ("USDCOP", "c1@", walk(120)[-1].time)
        assert (stored.before, stored.after) == (state.live.recurrent_before, state.live.recurrent)


async def test_policy_without_a_recurrent_state_stores_no_checkpoint() -> None:
    async with running_engine(policy=always(Action.HOLD)) as running:
        await running.publish(walk(60))
        assert running.store.checkpoints == {}


async def test_request_uses_the_recurrent_state_and_does_not_change_it() -> None:
    async with running_engine(policy=CountingPolicy()) as running:
        bars = walk(90)
        await running.publish(bars)
        live = running.store.signals()[-1]
        for lookback in (100, 300):
            again = running.signal(await running.engine.generate_from_stored("USDCOP", lookback))
            assert again.probabilities == live.probabilities, "it is the decision of the newest bar once more"
        (state,) = running.engine.states()
        assert counts(state.live.recurrent) == 30.0


@pytest.mark.parametrize("calendar", [BogotaCalendar(), AlwaysOpenCalendar()])
def test_recurrent_state_that_is_not_stored_is_computed_from_the_bars(calendar: SessionCalendar) -> None:
    """The longest session and the window before it are enough, at any bar of a session."""
    times = (
        session_times(16)
        if isinstance(calendar, BogotaCalendar)
        else [session_times(1)[0] + n * timedelta(minutes=5) for n in range(900)]
    )
    bars = walk(len(times), times=times)
    trader = Trader(CountingPolicy(), RiskRules())
    for end in (60, 119, 120, 121, 500, 899):
        whole = trader.recurrent_around_newest(bars[:end], calendar)
        start = max(0, end - LONGEST_SESSION - LOOKBACK_BARS)
        assert whole == trader.recurrent_around_newest(bars[start:end], calendar)


def test_without_bars_or_recurrent_state_the_initial_state_is_returned() -> None:
    remembers, forgets = CountingPolicy(), CountingPolicy(ResetRule.NONE)
    for policy, bars in ((remembers, []), (forgets, walk(120))):
        states = Trader(policy, RiskRules()).recurrent_around_newest(bars, BogotaCalendar())
        assert [counts(state) for state in states] == [0.0, 0.0]


async def test_output_that_is_not_finite_holds_resets_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    bars = walk(70)
    last = bars[60]
    bars[61] = jump = Bar("USDCOP", bars[61].time, last.close, last.close * 1.2, last.close, last.close * 1.2)
    others = walk(70, symbol="EURCOP")
    async with running_engine(policy=CountingPolicy(breaks_above=9.0)) as running:
        with caplog.at_level(logging.ERROR):
            await running.publish([one for pair in zip(bars[:62], others[:62], strict=True) for one in pair])
        assert "USDCOP" in caplog.text
        failed = [signal for signal in running.store.signals() if signal.model_failed]
        assert [(signal.symbol, signal.bar_time, signal.action) for signal in failed] == [
            ("USDCOP", jump.time, Action.HOLD)
        ]
        assert failed[0].decision.reasoning[0].startswith("The output of the model was not finite: HOLD")
        assert running.pipeline.live.meter.failures == 1
        states = {state.symbol: state.live.recurrent for state in running.engine.states()}
        assert (counts(states["USDCOP"]), counts(states["EURCOP"])) == (0.0, 2.0), "each in its second session"
        await running.publish([*bars[62:64], *others[62:64]])
        states = {state.symbol: state.live.recurrent for state in running.engine.states()}
        assert (counts(states["USDCOP"]), counts(states["EURCOP"])) == (2.0, 4.0)
        assert not running.store.signals()[-1].model_failed


async def test_shadow_has_a_state_and_positions_of_its_own_and_never_trades() -> None:
    bars = walk(150)
    async with running_engine(policy=CountingPolicy()) as running:
        await running.publish(bars)
        alone = running.store.events
    watched = CountingPolicy(ResetRule.NEVER)
    async with running_engine(policy=CountingPolicy(), shadow=watched) as running:
        await running.publish(bars)
        assert running.store.events == alone
        (state,) = running.engine.states()
        assert state.shadow is not None
        assert (counts(state.live.recurrent), counts(state.shadow.recurrent)) == (30.0, 101.0)
        outcomes = [one.event for one in running.store.shadow_events]
    async with running_engine(policy=CountingPolicy(ResetRule.NEVER)) as running:
        await running.publish(bars)
        would_have = [event for event in running.store.events if not hasattr(event, "disposition")]
    assert outcomes == would_have, "it is scored by what it would have done live"
