"""One inference: on the calling thread, or through a thread pool? This decides docs/adr/0003.

Measured: the time of one inference of one observation, p50 and p99, for a perceptron and for an LSTM of 128, made on
the spot (models.py), five ways:

- inline: `OnnxPolicy.probabilities`, as the engine calls it, with buffers bound once and the answer checked;
- thread pool: the same, handed to a pool of one thread with `loop.run_in_executor`, and awaited;
- ONNX Runtime alone: with io_binding; with `session.run`; and `session.run` with its default threads instead of one.

How: each inference by itself with the process's finest clock, which costs some 50 nanoseconds, on uvloop, ways in turn.
There is no load generator; nothing else runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import onnxruntime

from tradingsignals_server.adapters.onnx_policy import OnnxPolicy
from tradingsignals_server.domain.features import Observation

from .measure import Effort, Figure, at_most, in_turn, percentile, ratio
from .models import ACTIONS, FEATURES, SEED, make_lstm, make_mlp
from .service import working_folder

INFERENCES = 10_000

Latencies = list[float]
"""Milliseconds, in ascending order."""


async def run(effort: Effort) -> AsyncIterator[Figure]:
    """See the module."""
    with working_folder() as folder, ThreadPoolExecutor(1) as pool:
        models = {"perceptron": make_mlp(folder / "mlp.onnx"), "LSTM of 128": make_lstm(folder / "lstm.onnx")}
        for name, model in models.items():
            ways = _ways(model, pool, effort.bars(INFERENCES))
            runs = await in_turn(effort.runs, ways)
            p50 = {way: [percentile(latencies, 50) for latencies in runs[way]] for way in ways}
            for way in ways:
                p99 = [percentile(latencies, 99) for latencies in runs[way]]
                if way == "inline":
                    yield Figure(f"{name}, {way}, p50", "ms", p50[way], at_most(0.03))
                    yield Figure(f"{name}, {way}, p99", "ms", p99, at_most(0.1))
                else:
                    yield Figure(f"{name}, {way}, p50", "ms", p50[way], besides={"p99 ms": median(p99)})
            yield ratio(f"{name}: thread pool to inline, p50", p50["thread pool"], p50["inline"])


def _ways(model: Path, pool: ThreadPoolExecutor, count: int) -> dict[str, Callable[[], Awaitable[Latencies]]]:
    observations = list(np.random.default_rng(SEED).standard_normal((64, FEATURES)).astype(np.float32))
    policy = OnnxPolicy(model)
    alone = _session(model, threads=1)
    default = _session(model, threads=0)
    return {
        "inline": partial(_called, policy.probabilities, observations, count),
        "thread pool": partial(_handed_over, policy.probabilities, observations, count, pool),
        "io_binding alone": partial(_called, _bound(alone), observations, count),
        "session.run alone": partial(_called, partial(_run, alone), observations, count),
        "session.run, default threads": partial(_called, partial(_run, default), observations, count),
    }


async def _called(infer: Callable[[Observation], Any], observations: Sequence[Observation], count: int) -> Latencies:
    latencies = []
    for index in range(count):
        observation = observations[index % len(observations)]
        started = perf_counter()
        infer(observation)
        latencies.append((perf_counter() - started) * 1e3)
    return sorted(latencies)


async def _handed_over(
    infer: Callable[[Observation], Any], observations: Sequence[Observation], count: int, pool: ThreadPoolExecutor
) -> Latencies:
    loop = asyncio.get_running_loop()
    latencies = []
    for index in range(count):
        observation = observations[index % len(observations)]
        started = perf_counter()
        await loop.run_in_executor(pool, infer, observation)
        latencies.append((perf_counter() - started) * 1e3)
    return sorted(latencies)


def _session(model: Path, threads: int) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])


def _run(session: Any, observation: Observation) -> Any:
    return session.run(None, {"observation": observation[np.newaxis]})


def _bound(session: Any) -> Callable[[Observation], None]:
    given = np.zeros((1, FEATURES), dtype=np.float32)
    answer = np.zeros((1, ACTIONS), dtype=np.float32)
    binding = session.io_binding()
    binding.bind_input("observation", "cpu", 0, np.float32, given.shape, given.ctypes.data)
    binding.bind_output("probabilities", "cpu", 0, np.float32, answer.shape, answer.ctypes.data)

    def infer(observation: Observation) -> None:
        given[0] = observation
        session.run_with_iobinding(binding)

    return infer
