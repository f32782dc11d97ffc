"""The pipeline alone: how many bars one core decides in a second, and what each step costs.

Measured: `Pipeline.on_bar` over the simulated market of one symbol, with an LSTM of 128, no database and no network, in
bars a second; then each step by itself, over what the pipeline passes to it: session and window, indicators, features,
inference, decision, and, as the commit does it, the encoding of the events. What the steps leave of the whole is the
making of the signal, the states and the positions.

How: in this process, on one thread, by the clock around thousands of calls at a time. There is no load generator;
nothing else runs. It is the ceiling of everything that takes bars in, and of a backtest.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from statistics import median
from time import perf_counter
from typing import Any

from tradingsignals_server.adapters.onnx_policy import OnnxPolicy
from tradingsignals_server.application.pipeline import Pipeline
from tradingsignals_server.application.sessions import SymbolState
from tradingsignals_server.domain.bars import Bar
from tradingsignals_server.domain.calendar import calendar_for
from tradingsignals_server.domain.events import Event
from tradingsignals_server.domain.features import observation
from tradingsignals_server.domain.indicators import indicators_of
from tradingsignals_server.domain.risk import RiskRules, TradeTally, decide
from tradingsignals_server.domain.signals import Signal
from tradingsignals_server.domain.window import Window
from tradingsignals_server.rpc.convert import encode

from .bars import WARMING_BARS, simulated_bars
from .measure import Effort, Figure, in_turn
from .models import make_lstm
from .service import working_folder

BARS = 10_000
SYMBOL = "USDCOP"


async def run(effort: Effort) -> AsyncIterator[Figure]:
    """See the module."""
    with working_folder() as folder:
        policy = OnnxPolicy(make_lstm(folder / "lstm.onnx"))
    pipeline = Pipeline(policy, RiskRules(), calendar_for)
    bars = simulated_bars(SYMBOL, WARMING_BARS + effort.bars(BARS))
    warm, _ = _processed(pipeline, _fresh(), bars[:WARMING_BARS])
    bars = bars[WARMING_BARS:]
    seconds, events = [], list[Event]()
    for _ in range(effort.runs):
        started = perf_counter()
        _, events = _processed(pipeline, warm, bars)
        seconds.append(perf_counter() - started)
    yield Figure(
        "on_bar, one core",
        "bars/s",
        [len(bars) / taken for taken in seconds],
        besides={"microseconds a bar": median(seconds) / len(bars) * 1e6, "events a bar": len(events) / len(bars)},
    )
    for step, runs in (await in_turn(effort.runs, _steps(pipeline, warm, bars, events))).items():
        yield Figure(step, "microseconds a bar", [taken / len(bars) * 1e6 for taken in runs])


def _fresh() -> SymbolState:
    return SymbolState(SYMBOL, calendar_for(SYMBOL), Window.empty())


def _processed(pipeline: Pipeline, state: SymbolState, bars: Sequence[Bar]) -> tuple[SymbolState, list[Event]]:
    events: list[Event] = []
    for bar in bars:
        step = pipeline.on_bar(state, bar)
        state = step.state
        events.extend(step.events)
    return state, events


def _steps(pipeline: Pipeline, warm: SymbolState, bars: Sequence[Bar], events: Sequence[Event]) -> dict[str, Any]:
    """Each step over all bars, with the inputs it had in the pipeline."""
    windows = _windows(warm, bars)
    signals = [event for event in events if isinstance(event, Signal)]
    observed = [observation(window, indicators_of(window), 0.5) for window in windows]
    tally = TradeTally()
    return {
        "session and window": partial(_timed_states, warm, bars),
        "indicators": partial(_timed, indicators_of, [(window,) for window in windows]),
        "features": partial(
            _timed, observation, [(w, s.indicators, 0.5) for w, s in zip(windows, signals, strict=True)]
        ),
        "inference": partial(_timed, pipeline.policy.probabilities, [(seen,) for seen in observed]),
        "decision": partial(
            _timed, decide, [(s.probabilities, s.entry_price, s.indicators, pipeline.rules, tally) for s in signals]
        ),
        "encoding of the events": partial(_timed, encode, [(event, 1) for event in events]),
    }


def _windows(state: SymbolState, bars: Sequence[Bar]) -> list[Window]:
    windows = []
    for bar in bars:
        state = state.with_session_bar(bar, state.calendar.session_of(bar.time))
        windows.append(state.window)
    return windows


async def _timed(step: Callable[..., object], inputs: Sequence[tuple[Any, ...]]) -> float:
    started = perf_counter()
    for given in inputs:
        step(*given)
    return perf_counter() - started


async def _timed_states(state: SymbolState, bars: Sequence[Bar]) -> float:
    started = perf_counter()
    for bar in bars:
        day = state.calendar.session_of(bar.time)
        state.calendar.is_last_bar(bar.time)
        state.calendar.progress(bar.time)
        state = state.with_session_bar(bar, day)
    return perf_counter() - started
