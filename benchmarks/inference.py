"""One inference with its recurrent state: on the calling thread, in a thread pool, and in batches of symbols.

The evidence for docs/adr/0003 (inference runs inline) and for batching symbols. Measured, for a perceptron and
for LSTMs of 64, 128 and 256 with random weights (models.py), and for the newest shipped policy:

- the time of one inference of one observation, p50 and p99: `OnnxPolicy.decide`, as the engine calls it, with buffers
  bound once, the output checked, and the recurrent state of one call passed to the next; the same in a pool of
  one thread with `loop.run_in_executor`, awaited; and `session.run` of ONNX Runtime, which binds nothing, checks
  nothing, and returns its states in new arrays;
- the gain from batching at 8, 64 and 256 symbols, each with a state of its own: the time of a row by itself with
  `decide`, over its time as a row of `decide_batch`, which gives the same result to the bit.

How: on uvloop, each single inference with the process's finest clock, which costs some 50 nanoseconds; a round of all
symbols, which takes up to ten milliseconds, in the thread's own processor time, the median of all rounds. Both sides of
a comparison are measured in turn. There is no load generator; nothing else runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from time import perf_counter, thread_time
from typing import Any

import numpy as np
import onnxruntime

from tradingsignals_server.adapters.onnx.policy import OnnxPolicy
from tradingsignals_server.adapters.onnx.repository import newest_model, shipped_models
from tradingsignals_server.adapters.onnx.tensors import FEATURES
from tradingsignals_server.domain.features import Observation

from .measure import Effort, Figure, at_most, in_turn, percentile
from .models import SEED, make_lstm, make_mlp
from .service import working_folder

INFERENCES = 10_000
SYMBOLS = (8, 64, 256)

Latencies = list[float]
"""Milliseconds, in ascending order."""


async def run(effort: Effort) -> AsyncIterator[Figure]:
    """Measure what the module describes."""
    with working_folder() as folder, ThreadPoolExecutor(1) as pool:
        models = _models(folder)
        for name, model in models.items():
            async for figure in _single(name, model, pool, effort):
                yield figure
        for name, model in models.items():
            async for figure in _batched(name, OnnxPolicy(model), effort):
                yield figure


def _models(folder: Path) -> Mapping[str, Path]:
    made = {"perceptron": make_mlp(folder / "mlp.onnx")}
    made |= {f"LSTM of {size}": make_lstm(folder / f"{size}.onnx", size) for size in (64, 128, 256)}
    if (shipped := shipped_models()) is not None:
        model = newest_model(shipped)
        made[f"{model.parent.parent.name} {model.parent.name}"] = model
    return made


# ------------------------------------------------------------------------------------------- one inference at a time


async def _single(name: str, model: Path, pool: ThreadPoolExecutor, effort: Effort) -> AsyncIterator[Figure]:
    count = effort.bars(INFERENCES)
    policy = OnnxPolicy(model)
    runs = await in_turn(
        effort,
        {
            "inline": partial(_inline, policy, count),
            "thread pool": partial(_handed_over, policy, count, pool),
            "session.run": partial(_unbound, model, policy, count),
        },
    )
    p50, p99 = (
        {way: [percentile(latencies, percent) for latencies in runs[way]] for way in runs} for percent in (50, 99)
    )
    yield Figure(f"{name}, inline, p50", "ms", p50["inline"], at_most(0.03))
    yield Figure(f"{name}, inline, p99", "ms", p99["inline"], at_most(0.1))
    for way in ("thread pool", "session.run"):
        yield Figure(
            f"{name}, {way} to inline, p50",
            "times",
            [theirs / ours for theirs, ours in zip(p50[way], p50["inline"], strict=True)],
            besides={"p50 ms": median(p50[way]), "p99 ms": median(p99[way])},
        )


async def _inline(policy: OnnxPolicy, count: int) -> Latencies:
    latencies, state = [], policy.initial_state()
    for observation in _observations(count):
        started = perf_counter()
        _, state = policy.decide(observation, state)
        latencies.append((perf_counter() - started) * 1e3)
    return sorted(latencies)


async def _handed_over(policy: OnnxPolicy, count: int, pool: ThreadPoolExecutor) -> Latencies:
    loop = asyncio.get_running_loop()
    latencies, state = [], policy.initial_state()
    for observation in _observations(count):
        started = perf_counter()
        _, state = await loop.run_in_executor(pool, policy.decide, observation, state)
        latencies.append((perf_counter() - started) * 1e3)
    return sorted(latencies)


async def _unbound(model: Path, policy: OnnxPolicy, count: int) -> Latencies:
    session = _session(model)
    names = [tensor.name for tensor in policy.specification.inputs]
    outputs = [tensor.name for tensor in policy.specification.outputs]
    # A policy without recurrent state has neither.
    states = [state[np.newaxis] for state in policy.initial_state().values][: len(names) - 1]
    latencies = []
    for observation in _observations(count):
        started = perf_counter()
        _, *states = session.run(outputs, dict(zip(names, (observation[np.newaxis], *states), strict=True)))
        latencies.append((perf_counter() - started) * 1e3)
    return sorted(latencies)


def _session(model: Path) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])


def _observations(count: int) -> Iterable[Observation]:
    return islice(cycle(np.random.default_rng(SEED).standard_normal((64, FEATURES)).astype(np.float32)), count)


# --------------------------------------------------------------------------------------------------- symbols together


async def _batched(name: str, policy: OnnxPolicy, effort: Effort) -> AsyncIterator[Figure]:
    for symbols in SYMBOLS:
        rounds = max(3, effort.bars(INFERENCES) // symbols)
        ways: dict[str, Callable[[], Awaitable[float]]] = {
            "one by one": partial(_rounds, partial(_one_by_one, policy), policy, symbols, rounds),
            "batched": partial(_rounds, policy.decide_batch, policy, symbols, rounds),
        }
        runs = await in_turn(effort, ways)
        yield Figure(
            f"{name}, {symbols} symbols: gain of a batch",
            "times",
            [alone / together for alone, together in zip(runs["one by one"], runs["batched"], strict=True)],
            besides={f"{way}, microseconds a row": median(runs[way]) for way in ways},
        )


async def _rounds(decide: Callable[..., Any], policy: OnnxPolicy, symbols: int, rounds: int) -> float:
    """Microseconds a row, in the median round of all symbols."""
    observations = np.random.default_rng(SEED).standard_normal((symbols, FEATURES)).astype(np.float32)
    states = [policy.initial_state()] * symbols
    taken = []
    for _ in range(rounds):
        started = thread_time()
        outputs = decide(observations, states)
        taken.append((thread_time() - started) * 1e6)
        states = [state for _, state in outputs]
    return median(taken) / symbols


def _one_by_one(policy: OnnxPolicy, observations: Any, states: Any) -> list[Any]:
    return [policy.decide(observation, state) for observation, state in zip(observations, states, strict=True)]
