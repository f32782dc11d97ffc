"""Explanations and replays of signals of any kind of policy, on a store in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from tests.support.builders import simulated_bars, walk
from tests.support.deadlines import within
from tests.support.engine import running_engine
from tests.support.memory_store import MemoryStore

from tradingsignals_server.adapters.placeholder_policy import PlaceholderPolicy
from tradingsignals_server.api.mapping.log_encoding import encode
from tradingsignals_server.api.mapping.log_messages import market_update_of, signal_of
from tradingsignals_server.application.decision.consequence import TradeRule
from tradingsignals_server.application.decision.quotes import Quote
from tradingsignals_server.application.explain.differences import CauseKind
from tradingsignals_server.application.explain.service import MOST_PENDING, Decoders, SignalExplainer
from tradingsignals_server.application.ports.inputs import SignalInputs
from tradingsignals_server.application.ports.policy import Policy, PolicyDescription, PolicyOutput
from tradingsignals_server.domain.bars import Bar
from tradingsignals_server.domain.costs import Charges
from tradingsignals_server.domain.errors import (
    Overloaded,
)
from tradingsignals_server.domain.events import MarketUpdate
from tradingsignals_server.domain.features import CatalogueFeatures, FeatureContext, Features, Observation, RawBars
from tradingsignals_server.domain.features.expression import Feature, parse
from tradingsignals_server.domain.features.kind import FeatureKind
from tradingsignals_server.domain.protections import PROTECTION_RULES, AccountAtDecision, Protections
from tradingsignals_server.domain.recurrent_state import RecurrentState, ResetRule
from tradingsignals_server.domain.risk import RiskRules, Sizing
from tradingsignals_server.domain.rule_results import RuleVerdict
from tradingsignals_server.domain.signal_errors import InputsNotStored
from tradingsignals_server.domain.signals import Probabilities, Signal

BARS = walk(260, seed=5)
RULES = RiskRules(confidence_threshold=0.4, sizing=Sizing.KELLY)


def side(context: FeatureContext) -> float:
    return 0.0 if context.position is None else context.position.side * (1.0 + context.position.pnl_r)


HELD = FeatureKind("held", "Side held", "side", "1", side, lambda: 1, needs_position=True)
MOVES = [parse(text) for text in ("return(1)", "return(3)", "rsi(14)", "session_progress")]
KINDS: dict[str, Features] = {
    "plain": CatalogueFeatures("plain", MOVES),
    "position": CatalogueFeatures("position", [*MOVES, Feature(HELD)]),
    "stack": CatalogueFeatures("stack", MOVES, stack=4),
    "stack in session": CatalogueFeatures("stack", MOVES, stack=4, stack_in_session=True),
    "raw": RawBars(120, ("close", "high")),
}


class Counting:
    """A policy that decides by its features and a recurrent state that moves with them, until the session ends."""

    def __init__(self, features: Features, reset: ResetRule = ResetRule.SESSION) -> None:
        self.features = features
        self.description = PolicyDescription(
            version="c", type="test", mode="onnx", reset=reset, layers=1, hidden_size=2
        )

    def initial_state(self) -> RecurrentState:
        """Return zeros."""
        return RecurrentState.zeros(1, 2)

    def decide(self, observation: Observation, state: RecurrentState) -> PolicyOutput:
        """See Policy."""
        seen = observation.astype(np.float64)
        weights = np.cos(np.arange(len(seen)) * 2.0)
        score = float(np.tanh(weights @ (seen / (1.0 + np.abs(seen)))) * 3.0 + state.values.sum())
        buy, sell = float(np.exp(score)), float(np.exp(-score))
        total = buy + sell + 0.5
        after = RecurrentState((state.values * np.float32(0.9) + np.float32(0.05 * np.tanh(score))).astype(np.float32))
        return Probabilities(0.5 / total, buy / total, sell / total), after

    def decide_batch(
        self, observations: npt.NDArray[np.float32], states: Sequence[RecurrentState]
    ) -> list[PolicyOutput]:
        """See Policy."""
        return [self.decide(row, state) for row, state in zip(observations, states, strict=True)]


def explainer_of(store: MemoryStore, policy: Policy | None) -> SignalExplainer:
    return SignalExplainer(store, lambda _: policy, Decoders(signal_of, market_update_of))


async def stored(policy: Policy, bars: Sequence[Bar] = BARS, rules: RiskRules = RULES) -> MemoryStore:
    """Return a store with the signals of `bars`, with requested ones in the middle and at the end."""
    store = MemoryStore(encode)
    async with running_engine(store, policy=policy, rules=rules) as running:
        middle = len(bars) * 3 // 4
        for part in (bars[:middle], bars[middle:]):
            await running.publish(part)
            price = part[-1].close
            await running.engine.generate("USDCOP", Quote(price * 1.001, atr=4.0, rsi=20.0))
            for lookback in (max(50, policy.features.warm_bars), 100 if policy.features.warm_bars <= 100 else 140, 150):
                await running.engine.generate_from_stored("USDCOP", lookback)
        await running.engine.generate("EURUSD", Quote(1.1))
    return store


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reset", [ResetRule.SESSION, ResetRule.NEVER])
async def test_every_signal_replays_equal_and_explains(kind: str, reset: ResetRule) -> None:
    policy = Counting(KINDS[kind], reset)
    store = await stored(policy)
    explainer = explainer_of(store, policy)
    signals = store.signals()
    assert len({signal.action for signal in signals}) >= 2
    for signal in signals:
        replay = (await explainer.replay(signal.signal_id)).replay
        assert replay.equal, (signal.origin, replay)
    for signal in signals[::25]:
        found = (await explainer.explain(signal.signal_id)).explanation
        assert found.missing == ()
        assert found.attribution is not None
        parts = sum(one.log_odds for one in found.attribution.contributions)
        assert found.attribution.baseline_log_odds + parts == pytest.approx(found.attribution.log_odds, abs=1e-6)
        assert [one.observed for one in found.features[-1:]] == [pytest.approx(found.features[-1].observed)]
        assert len(found.features) == policy.features.size


async def test_simulated_bars_and_the_placeholder_replay_equal() -> None:
    policy = PlaceholderPolicy()
    store = await stored(policy, [*walk(60, seed=2), *simulated_bars(4)[60:]])
    explainer = explainer_of(store, policy)
    assert {signal.simulated for signal in store.signals()} == {True}
    for signal in store.signals():
        assert (await explainer.replay(signal.signal_id)).replay.equal


async def test_held_position_is_part_of_the_replay() -> None:
    policy = Counting(KINDS["position"])
    store = await stored(policy)
    held = next(one for one in store.inputs.values() if one.held is not None and one.held.r_multiple)
    assert held.held is not None
    store.inputs[held.signal_id] = replace(held, held=replace(held.held, r_multiple=held.held.r_multiple + 9.0))
    found = (await explainer_of(store, policy).replay(held.signal_id)).replay
    assert "probabilities.buy" in {one.field for one in found.differences}


@pytest.mark.untraced
@pytest.mark.parametrize(
    ("limits", "rule"),
    [
        (Protections(max_daily_loss_pct=0.00002), "MAX_DAILY_LOSS_PCT"),
        (Protections(max_drawdown_pct=0.00005), "MAX_DRAWDOWN_PCT"),
        (Protections(cooldown_after_stops=1, cooldown_minutes=30.0), "COOLDOWN_AFTER_STOPS"),
        (Protections(max_exposure_pct=0.01), "MAX_EXPOSURE_PCT"),
        (Protections(trading_halted=True), "TRADING_HALTED"),
    ],
)
async def test_signal_that_a_protection_stopped_replays_equal_and_names_the_rule(
    limits: Protections, rule: str
) -> None:
    policy = Counting(KINDS["plain"])
    store = await stored(policy, rules=replace(RULES, slippage=Charges.flat(1.0), protections=limits))
    explainer = explainer_of(store, policy)
    seen = set()
    for signal in store.signals():
        assert (await explainer.replay(signal.signal_id)).replay.equal
        results = (await explainer.explain(signal.signal_id)).explanation.rules
        seen |= {one.rule for one in results if one.verdict is RuleVerdict.STOPPED and one.value is not None}
    assert rule in seen


async def test_replay_names_a_signal_whose_account_was_altered() -> None:
    policy = Counting(KINDS["plain"])
    store = await stored(policy, rules=replace(RULES, protections=Protections(max_open_positions=9)))
    looked = next(one for one in store.inputs.values() if one.account is not None)
    store.inputs[looked.signal_id] = replace(looked, account=AccountAtDecision(halted=True))
    found = (await explainer_of(store, policy).replay(looked.signal_id)).replay
    assert [one.field for one in found.differences] == ["decision.reasoning"]


async def test_trade_rules_say_why_nothing_was_opened() -> None:
    policy = Counting(KINDS["plain"])
    store = await stored(policy)
    explainer = explainer_of(store, policy)
    opened = {position.signal_id for position in store.positions()}
    seen = set()
    for signal in store.signals():
        rules = (await explainer.explain(signal.signal_id)).explanation.rules
        stopped = [one for one in rules if one.verdict is RuleVerdict.STOPPED]
        assert (not stopped) == (signal.signal_id in opened)
        seen |= {one.rule for one in stopped}
        names = [one.rule for one in rules]
        of_trade = [rule.value for rule in TradeRule if rule not in {TradeRule.ACTION, TradeRule.PROTECTIONS}]
        assert names[-11:] == [*of_trade, *(rule.name for rule in PROTECTION_RULES)]
    assert {"HELD_POSITION", "SESSION_AND_AGE", "ATR"} <= seen


def alter(store: MemoryStore, number: int, volume: float) -> Bar:
    """Alter the bar with this number behind the service's back; return it as it was."""
    places = [place for place, event in enumerate(store.events) if isinstance(event, MarketUpdate)]
    event = store.events[places[number]]
    assert isinstance(event, MarketUpdate)
    store.events[places[number]] = replace(event, bar=replace(event.bar, volume=volume))
    return event.bar


async def test_each_altered_bar_is_named_with_both_prices() -> None:
    policy = Counting(KINDS["plain"])
    store = await stored(policy)
    first, second = (alter(store, number, volume=77.0) for number in (205, 200))
    signal = next(one for one in store.signals() if one.bar_time == BARS[220].time)
    found = (await explainer_of(store, policy).replay(signal.signal_id)).replay
    assert [cause.original for cause in found.causes] == [second, first]
    assert {cause.kind for cause in found.causes} == {CauseKind.BAR}
    assert [cause.stored and cause.stored.volume for cause in found.causes] == [77.0, 77.0]
    assert "volume was 0.0 and is 77.0" in found.causes[0].sentence


async def test_altered_bar_that_the_log_has_lost_is_noticed() -> None:
    policy = Counting(KINDS["plain"])
    store = await stored(policy)
    alter(store, 205, volume=77.0)
    signal = next(one for one in store.signals() if one.bar_time == BARS[220].time)

    async def nothing(*_: object) -> list[bytes]:
        return []

    store.logged_bars = nothing  # type: ignore[assignment, method-assign] # as if the log had been pruned so far
    found = (await explainer_of(store, policy).replay(signal.signal_id)).replay
    assert [(cause.kind, cause.time) for cause in found.causes] == [(CauseKind.BAR, None)]


async def test_signal_of_an_earlier_version_is_explained_as_far_as_possible() -> None:
    policy = Counting(KINDS["plain"])
    store = await stored(policy)
    signal = store.signals()[10]
    store.inputs.clear()
    found = await explainer_of(store, policy).explain(signal.signal_id)
    assert signal_of(found.stored.message).signal_id == signal.signal_id
    assert found.explanation.missing
    with pytest.raises(InputsNotStored, match=str(signal.signal_id)):
        await explainer_of(store, policy).replay(signal.signal_id)


async def test_settings_of_another_version_are_named() -> None:
    policy = Counting(KINDS["plain"])
    store = await stored(policy)
    signal = store.signals()[10]
    given: SignalInputs = store.inputs[signal.signal_id]
    store.inputs[signal.signal_id] = replace(given, settings=given.settings.replace("kelly_fraction", "moon_phase"))
    explainer = explainer_of(store, policy)
    replay = (await explainer.replay(signal.signal_id)).replay
    assert [cause.kind for cause in replay.causes] == [CauseKind.SETTINGS]
    assert "moon_phase" in replay.causes[0].sentence
    assert "moon_phase" in (await explainer.explain(signal.signal_id)).explanation.missing[0]


async def test_too_many_pending_calls_are_refused() -> None:
    policy = Counting(KINDS["plain"])
    store = await stored(policy)
    signal: Signal = store.signals()[10]
    explainer = explainer_of(store, policy)
    calls = [asyncio.ensure_future(explainer.replay(signal.signal_id)) for _ in range(MOST_PENDING + 3)]
    results = await within(asyncio.gather(*calls, return_exceptions=True))
    assert sum(isinstance(one, Overloaded) for one in results) == 3
    assert (await explainer.replay(signal.signal_id)).replay.equal
