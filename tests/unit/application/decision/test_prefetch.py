"""Prefetching for bars of several symbols: each symbol gets what it would get alone, to the bit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import cycle, zip_longest

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.builders import session_times, walk
from tests.support.memory_store import MemoryStore
from tests.support.onnx_models import RECURRENT, policy_file, random_weights
from tests.support.running import of_symbol, patched, running_engine

from tradingsignals_server.adapters.onnx.policy import OnnxPolicy
from tradingsignals_server.application.decision.inputs import bar_input
from tradingsignals_server.application.decision.pipeline import BarStep, Pipeline
from tradingsignals_server.application.decision.prefetch import InferenceMeter, PrefetchingPolicy, independent_runs
from tradingsignals_server.application.decision.symbol_state import SymbolState
from tradingsignals_server.application.ports.policy import Policy, PolicyOutput
from tradingsignals_server.application.ports.store import RecurrentCheckpoint, ShadowEvent
from tradingsignals_server.domain.account import Account
from tradingsignals_server.domain.bars import Bar
from tradingsignals_server.domain.calendar import calendar_for
from tradingsignals_server.domain.errors import ServiceError
from tradingsignals_server.domain.events import Event, Receipt
from tradingsignals_server.domain.features import M5_V1, Observation
from tradingsignals_server.domain.positions import Position
from tradingsignals_server.domain.recurrent_state import RecurrentState, ResetRule
from tradingsignals_server.domain.risk import RiskRules
from tradingsignals_server.domain.signals import Signal
from tradingsignals_server.domain.window import Window

RULES = RiskRules(confidence_threshold=0.34, trailing_stop_atr=1.0)
"""The preferred action of the policy is always taken."""
BARS = {
    "USDCOP": walk(180, seed=1),
    "EURCOP": walk(180, seed=2, symbol="EURCOP", times=session_times(4)[30:]),
    "EURUSD": walk(180, seed=3, symbol="EURUSD"),
}
"""Two symbols whose sessions begin at different bars, and one that trades round the clock."""
TWO = {symbol: BARS[symbol][:150] for symbol in ("USDCOP", "EURCOP")}
WARMING = {"USDCOP": 55, "EURCOP": 51, "EURUSD": 47}
"""Bars after which two are warm, and the third will be soon."""


class WatchedPolicy:
    """A policy that records the sizes of its micro-batches, and fails on some observations.

    defect: one in `defect` observations, chosen by its numbers, raises an exception.
    invalid_output: one in `invalid_output` has no finite output.
    """

    def __init__(self, policy: Policy, *, defect: int = 0, invalid_output: int = 0) -> None:
        self.description = policy.description
        self.features = policy.features
        self.shown: list[int] = []
        self._policy = policy
        self._defect = defect
        self._invalid_output = invalid_output

    def initial_state(self) -> RecurrentState:
        """See Policy."""
        return self._policy.initial_state()

    def decide(self, observation: Observation, state: RecurrentState) -> PolicyOutput:
        """See Policy."""
        self.shown.append(1)
        return self._spoilt(observation, self._policy.decide(observation, state))

    def decide_batch(
        self, observations: npt.NDArray[np.float32], states: Sequence[RecurrentState]
    ) -> list[PolicyOutput]:
        """See Policy."""
        self.shown.append(len(observations))
        outputs = self._policy.decide_batch(observations, states)
        return [self._spoilt(row, output) for row, output in zip(observations, outputs, strict=True)]

    def _spoilt(self, observation: Observation, output: PolicyOutput) -> PolicyOutput:
        number = int.from_bytes(observation[:4].tobytes(), "little") % 1009
        if self._defect and number % self._defect == 0:
            raise RuntimeError("a defect")
        if self._invalid_output and number % self._invalid_output == 0:
            return None, self.initial_state()
        return output


Policies = Mapping[ResetRule, OnnxPolicy]


@pytest.fixture(scope="module")
def policies(tmp_path_factory: pytest.TempPathFactory) -> Policies:
    """Policies of two layers with random weights, one for each reset rule."""
    made = {}
    for rule in (ResetRule.SESSION, ResetRule.NEVER):
        folder, metadata = tmp_path_factory.mktemp(rule), replace(RECURRENT, reset=rule)
        made[rule] = OnnxPolicy(policy_file(folder, random_weights(2, 8, normalised=True), metadata))
        assert made[rule].batch_sizes
    return made


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of each bar, or of each call that failed, and all that was stored."""

    results: Sequence[object]
    events: Sequence[Event]
    shadow_events: Sequence[ShadowEvent]
    checkpoints: Mapping[tuple[str, str, bool], RecurrentCheckpoint]


async def warmed(lines: Iterable[Sequence[Bar]], policy: Policy, shadow: Policy | None = None) -> MemoryStore:
    """Return a store that holds these bars already."""
    async with running_engine(None, policy, RULES, shadow) as running:
        for bars in lines:
            await running.publish(bars)
    return running.store


async def outcome_of(
    calls: Iterable[Sequence[Bar]],
    policy: Policy,
    shadow: Policy | None = None,
    *,
    store: MemoryStore | None = None,
    at_once: bool = False,
) -> Outcome:
    """Publish call after call, or all calls at once in their order."""
    async with running_engine(store, policy, RULES, shadow) as running:
        made: list[list[Receipt | ServiceError] | BaseException] = []
        for together in [list(calls)] if at_once else [[bars] for bars in calls]:
            publishing = (running.engine.publish(bars) for bars in together)
            made += await asyncio.gather(*publishing, return_exceptions=True)
    results = [_summary(one) for each in made for one in (each if isinstance(each, list) else [each])]
    return Outcome(results, running.store.events, running.store.shadow_events, running.store.checkpoints)


def _summary(result: Receipt | BaseException) -> object:
    return (result.disposition, result.signal_id) if isinstance(result, Receipt) else repr(result)


async def no_prefetch(pipeline: Pipeline, states: Mapping[str, SymbolState], bars: Sequence[Bar]) -> None:
    """Prefetch nothing."""


@contextmanager
def failing(over: Callable[[Bar], bool]) -> Iterator[None]:
    """Let steps fail on some bars, independently of the policy."""
    make_step = Pipeline.on_bar

    def on_bar(pipeline: Pipeline, state: SymbolState, bar: Bar, account: Account | None = None) -> BarStep:
        if over(bar):
            raise RuntimeError("a step fails")
        return make_step(pipeline, state, bar, account)

    with patched(Pipeline, "on_bar", on_bar):
        yield


def merged(lines: Mapping[str, Sequence[Bar]], runs: Iterable[tuple[str, int]]) -> list[Bar]:
    """Merge the bars of all symbols: a run of one, then of another, and in the end one of each in turn."""
    left = {symbol: iter(line) for symbol, line in lines.items()}
    begun = [bar for symbol, length in runs for _, bar in zip(range(length), left[symbol], strict=False)]
    return begun + [bar for bars in zip_longest(*left.values()) for bar in bars if bar is not None]


def chunks(bars: Sequence[Bar], sizes: Iterable[int]) -> Iterator[Sequence[Bar]]:
    """Divide bars into calls of these sizes, which repeat."""
    sizes, done = cycle(sizes), 0
    while done < len(bars):
        size = next(sizes)
        yield bars[done : done + size]
        done += size


sizes = st.lists(st.integers(1, 90), min_size=1, max_size=8)
rules = st.sampled_from([ResetRule.SESSION, ResetRule.NEVER])
runs = st.lists(st.tuples(st.sampled_from(sorted(TWO)), st.integers(1, 40)), max_size=12)


@pytest.mark.slow
async def test_bars_of_one_time_share_a_micro_batch_and_others_do_not(policies: Policies) -> None:
    lines = {symbol: line[60:] for symbol, line in BARS.items()}
    together = merged(lines, [])
    for reset, calls, shown in (
        (ResetRule.SESSION, chunks(together, [30]), 3),
        (ResetRule.SESSION, [[bar] for bar in together], 1),
        (ResetRule.NEVER, lines.values(), 1),
    ):
        watched = WatchedPolicy(policies[reset])
        store = await warmed((line[:60] for line in BARS.values()), policies[reset])
        await outcome_of(calls, watched, store=store)
        assert watched.shown == [shown] * (360 // shown)


def test_runs_are_independent_where_the_recurrent_state_does_not_go_on() -> None:
    state = SymbolState("USDCOP", calendar_for("USDCOP"), Window.empty())
    inputs = []
    for bar in walk(200):
        computed = bar_input(state, bar)
        state = computed.state
        if computed.decision is not None:
            inputs.append(computed.decision)
    lengths = {reset: [len(run) for run in independent_runs(inputs, reset)] for reset in ResetRule}
    assert lengths[ResetRule.NEVER] == [151]
    assert lengths[ResetRule.SESSION] == [11, 60, 60, 20]
    assert lengths[ResetRule.NONE] == [1] * 151
    for reset in ResetRule:
        assert [one for run in independent_runs(inputs, reset) for one in run] == inputs
    assert independent_runs([], ResetRule.NONE) == [[]]


async def test_no_bar_is_inferred_twice_even_if_its_symbol_warms_up_meanwhile(policies: Policies) -> None:
    watched = WatchedPolicy(policies[ResetRule.SESSION])
    outcome = await outcome_of(chunks(merged(BARS, []), [64]), watched)
    assert sum(watched.shown) == sum(isinstance(event, Signal) for event in outcome.events) == 3 * 131


async def test_prefetched_values_of_another_state_are_not_used(policies: Policies) -> None:
    """The first call fails on one of its bars, so those of the second, prefetched with it, start from another state."""
    policy = policies[ResetRule.SESSION]
    calls = [merged({symbol: line[start : start + 4] for symbol, line in TWO.items()}, []) for start in (60, 64)]

    async def outcome() -> Outcome:
        store = await warmed((line[:60] for line in TWO.values()), policy)
        with failing(lambda bar: bar is TWO["USDCOP"][61]):
            return await outcome_of(calls, policy, store=store, at_once=True)

    found = await outcome()
    assert len(found.results) == 1 + 8, "one for the call that failed"
    with patched(Pipeline, "prefetch", no_prefetch):
        assert found == await outcome()


def test_prefetched_output_is_returned_once_and_only_for_its_recurrent_state(policies: Policies) -> None:
    watched = WatchedPolicy(policies[ResetRule.NEVER])
    policy, observation, before = (
        PrefetchingPolicy(watched, InferenceMeter()),
        np.ones(len(M5_V1.names), dtype=np.float32),
        watched.initial_state(),
    )
    (ahead,) = policy.prefetch([observation], [before])
    assert policy.infer(observation, RecurrentState(before.values.copy())) is ahead
    assert policy.infer(observation, before) is not ahead
    policy.prefetch([observation], [before])
    assert policy.infer(observation, ahead.after).after != ahead.after
    policy.prefetch([observation], [before])
    policy.clear()
    assert policy.infer(observation, before).after == ahead.after
    assert watched.shown == [1] * 6


async def test_bar_that_replaces_a_refused_one_is_decided_on_its_own_prices(policies: Policies) -> None:
    policy, line = policies[ResetRule.SESSION], TWO["USDCOP"]
    misplaced = replace(line[64], open=40.0, high=40.0, low=40.0, close=40.0)
    store = await warmed([line[:64]], policy)
    found = await outcome_of([[misplaced, *line[64:68]]], policy, store=store)
    assert "PriceJump" in str(found.results[0])
    assert found.events == (await outcome_of([line[:68]], policy)).events


@settings(max_examples=30)
@given(runs=runs, sizes=sizes, rule=rules, warm=st.booleans(), at_once=st.booleans())
@pytest.mark.slow
async def test_symbols_in_any_order_get_what_each_gets_alone(
    policies: Policies, runs: list[tuple[str, int]], sizes: list[int], rule: ResetRule, warm: bool, at_once: bool
) -> None:
    policy, first = policies[rule], 55 if warm else 0
    calls = chunks(merged({symbol: line[first:] for symbol, line in TWO.items()}, runs), sizes)
    store = await warmed((line[:first] for line in TWO.values()), policy, policy)
    found = await outcome_of(calls, policy, policy, store=store, at_once=at_once)
    for symbol in TWO:
        alone = await outcome_alone(symbol, policy)
        assert of_symbol(found.events, symbol) == alone.events
        assert [one for one in found.shadow_events if one.event.symbol == symbol] == alone.shadow_events
        assert {key: state for key, state in found.checkpoints.items() if state.symbol == symbol} == alone.checkpoints


_alone: dict[tuple[str, str], Outcome] = {}


async def outcome_alone(symbol: str, policy: OnnxPolicy) -> Outcome:
    """Return the outcome of the bars of one symbol, each in a call of its own."""
    key = symbol, policy.description.key
    if key not in _alone:
        _alone[key] = await outcome_of([[bar] for bar in TWO[symbol]], policy, policy)
        assert {type(event) for event in _alone[key].events} >= {Signal, Position}
        assert len(_alone[key].checkpoints) == 2
    return _alone[key]


KINDS = ["next"] * 6 + ["left out", "late", "again", "another"]
moves = st.lists(
    st.tuples(st.sampled_from(KINDS), st.sampled_from(sorted(BARS)), st.integers(0, 99)), min_size=20, max_size=120
)


def sent(moves: Iterable[tuple[str, str, int]]) -> list[Bar]:
    """Return bars with some sent late, some twice, and some again with other numbers."""
    left = {symbol: iter(line[WARMING[symbol] :]) for symbol, line in BARS.items()}
    past = {symbol: line[: WARMING[symbol]] for symbol, line in BARS.items()}
    missing, bars = dict[str, list[Bar]](), list[Bar]()
    for kind, symbol, pick in moves:
        if kind == "left out":
            missing.setdefault(symbol, []).append(next(left[symbol]))
        elif kind == "late" and missing.get(symbol):
            bars.append(missing[symbol].pop())
        elif kind == "again":
            bars.append(replace(past[symbol][-1 - pick % len(past[symbol])]))
        elif kind == "another":
            bars.append(replace(past[symbol][-1 - pick % len(past[symbol])], volume=7.0))
        else:
            bars.append(next(left[symbol]))
            past[symbol] = [*past[symbol], bars[-1]]
    return bars


one_in = st.sampled_from([0, 0, 13, 67])


@settings(max_examples=50)
@given(
    moves=moves, sizes=sizes, rule=rules, defect=one_in, invalid_output=one_in, failures=one_in, at_once=st.booleans()
)
@pytest.mark.slow
async def test_results_with_and_without_prefetch_are_equal(
    policies: Policies,
    moves: list[tuple[str, str, int]],
    sizes: list[int],
    rule: ResetRule,
    defect: int,
    invalid_output: int,
    failures: int,
    at_once: bool,
) -> None:
    """The same holds if bars are late, repeated or in conflict, and if the policy or a step fails."""
    calls, shadow = list(chunks(sent(moves), sizes)), policies[ResetRule.NEVER]
    live = WatchedPolicy(policies[rule], defect=defect, invalid_output=invalid_output)
    warming = [line[: WARMING[symbol]] for symbol, line in BARS.items()]

    async def outcome() -> Outcome:
        store = await warmed(warming, policies[rule], shadow)
        with failing(lambda bar: bool(failures) and round(bar.close * 1e4) % failures == 0):
            return await outcome_of(calls, live, shadow, store=store, at_once=at_once)

    found = await outcome()
    with patched(Pipeline, "prefetch", no_prefetch):
        assert found == await outcome()


@pytest.mark.parametrize(("percent", "milliseconds"), [(0.0, 1.0), (50.0, 3.0), (95.0, 4.0), (100.0, 4.0)])
def test_percentile_is_taken_of_the_newest_inferences(percent: float, milliseconds: float) -> None:
    meter = InferenceMeter()
    assert meter.percentile_ms(percent) == 0.0
    for total in (4.0, 1.0, 3.0, 2.0):
        meter.add(1, total)
    assert meter.percentile_ms(percent) == milliseconds
