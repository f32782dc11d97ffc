"""The pipeline alone: bars a second on one core, the cost of each step, and the gain of prefetching.

Measured, without database and network, with recurrent states from bar to bar:

- `Pipeline.on_bar` over the simulated market of one symbol, in bars a second, with an LSTM of 128 with random weights
  and with the newest shipped policy;
- each step by itself with that LSTM, on the pipeline's inputs: session and window, indicators, features,
  inference, decision, and, as the commit does it, the encoding of the events. The rest of the whole is the
  construction of signal, states and positions, and the effect that a repeated step finds its code and data in the
  processor's caches;
- bars of 100 symbols side by side, and of one symbol, in batches as the engine takes them, prefetched before the
  steps (application/decision/prefetch.py), and each bar by itself: bars a second both ways, in turn, and
  their ratio.

How: in this process, on one thread, by the clock around thousands of calls at a time. There is no load generator;
nothing else runs. The result is the upper limit of all calls that publish bars, and of a backtest.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from functools import partial
from statistics import median
from time import perf_counter
from typing import Any

from tradingsignals_server.adapters.onnx.policy import OnnxPolicy
from tradingsignals_server.adapters.onnx.repository import newest_model, shipped_models
from tradingsignals_server.api.mapping.log_encoding import encode
from tradingsignals_server.application.decision.pipeline import Pipeline
from tradingsignals_server.application.decision.symbol_state import Book, SymbolState
from tradingsignals_server.application.decision.trader import Trader
from tradingsignals_server.application.ingest.writer import BATCH_BARS
from tradingsignals_server.domain.bars import Bar
from tradingsignals_server.domain.calendar import calendar_for
from tradingsignals_server.domain.events import Event
from tradingsignals_server.domain.features import M5_V1, FeatureContext, Observation
from tradingsignals_server.domain.indicators import Indicators, indicators_of
from tradingsignals_server.domain.risk import RiskRules, TradeTally, decide
from tradingsignals_server.domain.signals import Signal
from tradingsignals_server.domain.window import Window

from .bars import WARMING_BARS, side_by_side, simulated_bars
from .measure import Effort, Figure, in_turn, ratio
from .models import make_lstm
from .service import working_folder

BARS = 10_000
SYMBOL = "USDCOP"
TOGETHER = 20_000
"""Number of bars that are processed in batches."""
SYMBOLS = tuple(f"FX{number:03d}" for number in range(100))

States = Mapping[str, SymbolState]


async def run(effort: Effort) -> AsyncIterator[Figure]:
    """Measure what the module describes."""
    with working_folder() as folder:
        policy = OnnxPolicy(make_lstm(folder / "lstm.onnx"))
    async for figure in _on_bar("LSTM of 128", policy, effort, by_step=True):
        yield figure
    if (shipped := shipped_models()) is not None:
        model = newest_model(shipped)
        name = f"{model.parent.parent.name} {model.parent.name}"
        async for figure in _on_bar(name, OnnxPolicy(model), effort):
            yield figure
    for symbols in (SYMBOLS, SYMBOLS[:1]):
        async for figure in _prefetch(policy, symbols, effort):
            yield figure


# ---------------------------------------------------------------------------------------------------------- one symbol


async def _on_bar(name: str, policy: OnnxPolicy, effort: Effort, *, by_step: bool = False) -> AsyncIterator[Figure]:
    pipeline = _pipeline(policy)
    bars = simulated_bars(SYMBOL, WARMING_BARS + effort.bars(BARS))
    warm, _ = _processed(pipeline, _fresh(SYMBOL, policy), bars[:WARMING_BARS])
    bars = bars[WARMING_BARS:]
    seconds, events = [], list[Event]()
    for _ in range(effort.runs):
        started = perf_counter()
        _, events = _processed(pipeline, warm, bars)
        seconds.append(perf_counter() - started)
    yield Figure(
        f"on_bar, {name}, one core",
        "bars/s",
        [len(bars) / taken for taken in seconds],
        besides={"microseconds a bar": median(seconds) / len(bars) * 1e6, "events a bar": len(events) / len(bars)},
    )
    if by_step:
        for step, runs in (await in_turn(effort, _steps(pipeline, warm, bars, events))).items():
            yield Figure(step, "microseconds a bar", [taken / len(bars) * 1e6 for taken in runs])


def _pipeline(policy: OnnxPolicy) -> Pipeline:
    return Pipeline(Trader(policy, RiskRules()), calendar_for)


def _fresh(symbol: str, policy: OnnxPolicy) -> SymbolState:
    return SymbolState(symbol, calendar_for(symbol), Window.empty(), live=Book(policy.initial_state()))


def _processed(pipeline: Pipeline, state: SymbolState, bars: Sequence[Bar]) -> tuple[SymbolState, list[Event]]:
    events: list[Event] = []
    for bar in bars:
        step = pipeline.on_bar(state, bar)
        state = step.state
        events.extend(step.events)
    return state, events


def _steps(pipeline: Pipeline, warm: SymbolState, bars: Sequence[Bar], events: Sequence[Event]) -> dict[str, Any]:
    """Each step over all bars, with its inputs in the pipeline."""
    windows = _windows(warm, bars)
    signals = [event for event in events if isinstance(event, Signal)]
    observed = [_observed(window, indicators_of(window)) for window in windows]
    rules, tally = pipeline.live.rules, TradeTally()
    return {
        "session and window": partial(_timed_states, warm, bars),
        "indicators": partial(_timed, indicators_of, [(window,) for window in windows]),
        "features": partial(_timed, _observed, [(w, s.indicators) for w, s in zip(windows, signals, strict=True)]),
        "inference": partial(_timed, pipeline.live.policy.decide, [(seen, warm.live.recurrent) for seen in observed]),
        "decision": partial(
            _timed, decide, [(s.probabilities, s.entry_price, s.indicators, rules, tally) for s in signals]
        ),
        "encoding of the events": partial(_timed, encode, [(event, 1) for event in events]),
    }


def _observed(window: Window, indicators: Indicators) -> Observation:
    return M5_V1.observe(FeatureContext(window, calendar_for(SYMBOL), 0.5, indicators=indicators))


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


# -------------------------------------------------------------------------------------------------------- many symbols


async def _prefetch(policy: OnnxPolicy, symbols: Sequence[str], effort: Effort) -> AsyncIterator[Figure]:
    pipeline = _pipeline(policy)
    bars = side_by_side(symbols, WARMING_BARS + effort.bars(TOGETHER) // len(symbols))
    warming = WARMING_BARS * len(symbols)
    fresh = {symbol: _fresh(symbol, policy) for symbol in symbols}
    warm = await _stepped(pipeline, fresh, bars[:warming], prefetch=True)
    ways = {
        "prefetched": partial(_rate, pipeline, warm, bars[warming:], prefetch=True),
        "each by itself": partial(_rate, pipeline, warm, bars[warming:], prefetch=False),
    }
    runs = await in_turn(effort, ways)
    what = f"bars of {len(symbols)} symbols" if len(symbols) > 1 else "bars of one symbol"
    for way, rates in runs.items():
        yield Figure(f"{what}, {way}", "bars/s", rates)
    yield ratio(f"{what}: prefetched to each by itself", runs["prefetched"], runs["each by itself"])


async def _rate(pipeline: Pipeline, states: States, bars: Sequence[Bar], *, prefetch: bool) -> float:
    started = perf_counter()
    await _stepped(pipeline, states, bars, prefetch=prefetch)
    return len(bars) / (perf_counter() - started)


async def _stepped(pipeline: Pipeline, states: States, bars: Sequence[Bar], *, prefetch: bool) -> States:
    """The states after `bars`, processed as the engine does it, on a store that does nothing."""
    staged = dict(states)
    for start in range(0, len(bars), BATCH_BARS):
        batch = bars[start : start + BATCH_BARS]
        if prefetch:
            await pipeline.prefetch(staged, batch)
        for bar in batch:
            step = pipeline.on_bar(staged[bar.symbol], bar)
            staged[bar.symbol] = step.state
    return staged
