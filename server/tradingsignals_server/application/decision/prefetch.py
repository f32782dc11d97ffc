"""Inputs and policy outputs that are computed before they are needed, for all bars that are staged together.

A policy output depends on the bars before it and on the recurrent state, never on a position. So the inputs of all bars
can be computed first, and then the policy can be run in micro-batches, the n-th new bar of each symbol together. One
inference of many rows costs a fraction of as many single ones, and one step done for many bars costs less than all
steps for one bar after the other, because its code stays in the processor's caches (docs/performance.md).

A prefetched input or output is used only if it was computed from the very values that are at hand. Otherwise, for
example after a bar before it was refused, it is computed again. Prefetching changes when something is computed, never
the result.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field
from datetime import datetime
from time import perf_counter

import numpy as np

from ...domain.bars import Bar
from ...domain.features import Observation
from ...domain.recurrent_state import RecurrentState, ResetRule
from ...domain.signals import Probabilities
from ...domain.values import dataclass
from ..ports.policy import Policy, PolicyOutput
from .inputs import BarInput, DecisionInput, bar_input
from .symbol_state import SymbolState

MICRO_BATCH_BARS = 32
"""Bars computed together at most, after which the event loop gets its turn: one to two milliseconds of computing."""

NEWEST_INFERENCES = 1000
"""Inferences that percentiles are taken of."""


@dataclass(slots=True)
class InferenceMeter:
    """Inferences of a policy in this process: how many, how long they took in milliseconds, and how many failed."""

    count: int = 0
    total_ms: float = 0.0
    failures: int = 0
    newest: deque[float] = field(default_factory=lambda: deque(maxlen=NEWEST_INFERENCES))

    def add(self, inferences: int, total_ms: float) -> None:
        """Count the inferences of one micro-batch."""
        self.count += inferences
        self.total_ms += total_ms
        self.newest.extend([total_ms / inferences] * inferences)

    def percentile_ms(self, percent: float) -> float:
        """That percentile of the newest inferences; 0 before the first."""
        newest = sorted(self.newest)
        return newest[min(int(len(newest) * percent / 100.0), len(newest) - 1)] if newest else 0.0

    @property
    def avg_ms(self) -> float:
        """Mean of one inference; 0 before the first."""
        return self.total_ms / self.count if self.count else 0.0


@dataclass(frozen=True, slots=True)
class Inference:
    """One observation that a policy decided on.

    probabilities: None if the model's output was not finite.
    before, after: the recurrent states that the inference started from, and ended with.
    ms: time that it took in milliseconds; its share, if it was part of a micro-batch.
    failure: a sentence that says why there was no observation; "" if there was one.
    """

    observation: Observation
    probabilities: Probabilities | None
    before: RecurrentState
    after: RecurrentState
    ms: float
    failure: str = ""


class PrefetchingPolicy:
    """Runs a policy on one observation, or returns the output that was prefetched for it."""

    def __init__(self, policy: Policy, meter: InferenceMeter) -> None:
        self._policy = policy
        self._meter = meter
        self._prefetched: dict[int, Inference] = {}

    def infer(self, observation: Observation, before: RecurrentState) -> Inference:
        """Decide on an observation of the policy's features, from the recurrent state `before`."""
        # The inference holds the observation, so that its id names no other one meanwhile.
        prefetched = self._prefetched.pop(id(observation), None) if self._prefetched else None
        if prefetched is not None and (prefetched.before is before or prefetched.before == before):
            return prefetched
        (inference,) = self._run((observation,), (before,))
        return inference

    def prefetch(self, observations: Sequence[Observation], before: Sequence[RecurrentState]) -> Sequence[Inference]:
        """Decide on several observations in one micro-batch, and keep the outputs for `infer`."""
        inferences = self._run(observations, before)
        self._prefetched.update((id(inference.observation), inference) for inference in inferences)
        return inferences

    def clear(self) -> None:
        """Drop the outputs that were not used."""
        self._prefetched.clear()

    def _run(self, observations: Sequence[Observation], before: Sequence[RecurrentState]) -> list[Inference]:
        started = perf_counter()
        outputs: Sequence[PolicyOutput]
        if len(observations) == 1:
            outputs = (self._policy.decide(observations[0], before[0]),)
        else:
            outputs = self._policy.decide_batch(np.array(observations), before)
        total_ms = (perf_counter() - started) * 1e3
        self._meter.add(len(observations), total_ms)
        ms = total_ms / len(observations)
        return [
            Inference(observation, probabilities, state, after, ms)
            for observation, state, (probabilities, after) in zip(observations, before, outputs, strict=True)
        ]


class PrefetchingInputs:
    """Computes the input from a bar, or returns the one that was prefetched for it."""

    def __init__(self) -> None:
        self._prefetched: dict[tuple[str, datetime], tuple[SymbolState, Bar, BarInput]] = {}

    def of(self, state: SymbolState, bar: Bar) -> BarInput:
        """Return the input from a bar that is newer than every bar of `state`."""
        if self._prefetched:
            known = self._prefetched.pop((bar.symbol, bar.time), None)
            if known is not None and known[1] is bar and state.knows_bars_of(known[0]):
                return known[2]
        return bar_input(state, bar)

    def prefetch(self, state: SymbolState, bar: Bar) -> BarInput:
        """Compute the input from a bar, and keep it for `of`."""
        computed = bar_input(state, bar)
        self._prefetched[bar.symbol, bar.time] = (state, bar, computed)
        return computed

    def clear(self) -> None:
        """Drop the inputs that were not used."""
        self._prefetched.clear()


RunAhead = Callable[[Sequence[DecisionInput], Sequence[RecurrentState]], Sequence[RecurrentState]]
"""Runs a policy on each input, each from its own recurrent state; returns the states for the next bars."""


async def prefetch_inputs(
    inputs: PrefetchingInputs, states: Mapping[str, SymbolState], bars: Iterable[Bar]
) -> dict[str, list[DecisionInput]]:
    """Prefetch the inputs from those `bars` that are newer than all before; return those decided on, by symbol."""
    ahead = dict(states)
    found: dict[str, list[DecisionInput]] = {}
    for number, bar in enumerate(bars, 1):
        state = ahead[bar.symbol]
        if state.last_bar is None or bar.time > state.last_bar.time:
            computed = inputs.prefetch(state, bar)
            ahead[bar.symbol] = computed.state
            if computed.decision is not None:
                found.setdefault(bar.symbol, []).append(computed.decision)
        if number % MICRO_BATCH_BARS == 0:
            await asyncio.sleep(0)
    return found


def independent_runs(inputs: Sequence[DecisionInput], reset: ResetRule) -> list[Sequence[DecisionInput]]:
    """Divide the inputs of one symbol where the recurrent state of a policy does not go on from one to the next."""
    if reset is ResetRule.NEVER:
        return [inputs]
    firsts = [n for n, one in enumerate(inputs) if n and (reset is ResetRule.NONE or one.new_session)]
    return [inputs[start:end] for start, end in zip([0, *firsts], [*firsts, len(inputs)], strict=True)]


async def prefetch_outputs(
    run: RunAhead,
    reset: ResetRule,
    inputs: Mapping[str, Sequence[DecisionInput]],
    carried: Mapping[str, RecurrentState],
) -> None:
    """Run a policy on all inputs, in micro-batches of the n-th input of each independent run.

    Args:
        run: runs the policy.
        reset: when its recurrent state is reset. So the sessions of one symbol are independent of each other, or all
            of its bars.
        inputs: by symbol, in the order of their bars.
        carried: the recurrent state of each symbol before its first input.
    """
    runs = [(symbol, part) for symbol, ahead in inputs.items() for part in independent_runs(ahead, reset)]
    states = [carried[symbol] for symbol, _ in runs]
    done = 0
    for n in range(max((len(part) for _, part in runs), default=0)):
        places = [place for place, (_, part) in enumerate(runs) if len(part) > n]
        for start in range(0, len(places), MICRO_BATCH_BARS):
            batch = places[start : start + MICRO_BATCH_BARS]
            after = run([runs[place][1][n] for place in batch], [states[place] for place in batch])
            for place, state in zip(batch, after, strict=True):
                states[place] = state
            done += len(batch)
            if done % MICRO_BATCH_BARS < len(batch):  # one more micro-batch is full
                await asyncio.sleep(0)
