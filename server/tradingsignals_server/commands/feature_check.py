"""Whether features of the user's own are deterministic, without look-ahead, and defined on every market."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np

from ..adapters.python_features import FeaturesRefused, PythonFeatures
from ..domain.bars import Bar
from ..domain.calendar import AlwaysOpenCalendar
from ..domain.features import FeatureContext, FeaturesFailed
from ..domain.intervals import DEFAULT_INTERVAL
from ..domain.window import Window

MARKET_BARS = 300
"""Bars of a market that are observed one after the other, beside those of the lookback."""

_CALENDAR = AlwaysOpenCalendar()
_FIRST = datetime(2024, 3, 4, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Observations:
    """The observation after each bar of a market, None where there are too few bars."""

    bars: Sequence[Bar]
    values: Sequence[bytes | None]


def check_features(features: PythonFeatures) -> str:
    """Run features on made-up markets, and return a sentence that says what was found to hold.

    Deterministic: the same bars give the same bits, bar by bar, again, in another order, and after other markets.
    Without look-ahead: what was observed at a bar does not change with the bars that come later.

    Raises:
        FeaturesRefused: a check fails; the message is one line with the bar and the feature.
    """
    count = features.lookback_bars + MARKET_BARS
    first = _observed(features, made_up_bars(count, seed=1))
    again = _observed(features, first.bars)
    _require_same(features, first, again, "differs for the same bars; it must not keep a state or use chance")
    _require_independent(features, first)
    _require_no_look_ahead(features, first)
    for what, bars in _rare_markets(count):
        _observed(features, bars, f" on {what}")
    return (
        f"{features.size} features of {features.reference}, observed at {MARKET_BARS} bars of several made-up markets: "
        "deterministic, without look-ahead, and finite"
    )


def made_up_bars(count: int, seed: int, *, symbol: str = "MADEUP", interval: timedelta = DEFAULT_INTERVAL) -> list[Bar]:
    """Return a random walk of bars with volumes, the same for each seed."""
    random = np.random.default_rng(seed)
    closes = 100.0 * np.exp(np.cumsum(random.normal(scale=1e-3, size=count)))
    bars, before = list[Bar](), 100.0
    for number, close in enumerate(closes.tolist()):
        above, below = (1.0 + 1e-3 * abs(float(shift)) for shift in random.normal(size=2))
        high, low = max(before, close) * above, min(before, close) / below
        volume = float(random.integers(1, 1000))
        bars.append(Bar(symbol, _FIRST + interval * number, before, high, low, close, volume, interval=interval))
        before = close
    return bars


def _rare_markets(count: int) -> list[tuple[str, list[Bar]]]:
    walk = made_up_bars(count, seed=2)
    still = [replace(bar, open=100.0, high=100.0, low=100.0, close=100.0, volume=0.0) for bar in walk]
    silent = [replace(bar, volume=0.0) for bar in walk]
    return [("a market without volumes", silent), ("a market that does not move", still)]


def _observed(features: PythonFeatures, bars: Sequence[Bar], where: str = "") -> Observations:
    window, values = Window.empty(features.history_bars), list[bytes | None]()
    for bar in bars:
        window = window.append(bar)
        values.append(_at(features, window, bar, where) if len(window) >= features.warm_bars else None)
    return Observations(bars, values)


def _at(features: PythonFeatures, window: Window, bar: Bar, where: str = "") -> bytes:
    try:
        return features.observe(FeatureContext(window, _CALENDAR, _CALENDAR.progress(bar.time))).tobytes()
    except FeaturesFailed as error:
        raise FeaturesRefused(f"{error}{where}, with {len(window)} bars") from error


def _require_independent(features: PythonFeatures, first: Observations) -> None:
    """Observe some bars by themselves, the newest first."""
    found = list(first.values)
    for place in range(len(first.bars) - 1, features.warm_bars - 2, -7):
        window = Window.of(first.bars[max(0, place + 1 - features.history_bars) : place + 1])
        found[place] = _at(features, window, first.bars[place])
    alone = Observations(first.bars, found)
    _require_same(features, first, alone, "depends on the bars observed before; it must use its arguments alone")


def _require_no_look_ahead(features: PythonFeatures, first: Observations) -> None:
    """Observe markets that agree up to a bar, and differ after it."""
    half = len(first.bars) - MARKET_BARS // 2
    later = [
        replace(bar, open=bar.open * 3.0, high=bar.high * 3.0, low=bar.low * 3.0, close=bar.close * 3.0)
        for bar in first.bars[half:]
    ]
    found = _observed(features, [*first.bars[:half], *later])
    common = Observations(first.bars[:half], first.values[:half])
    seen = Observations(first.bars[:half], found.values[:half])
    _require_same(features, common, seen, "changes with bars that come later: look-ahead")


def _require_same(features: PythonFeatures, one: Observations, other: Observations, problem: str) -> None:
    for place, (first, second) in enumerate(zip(one.values, other.values, strict=True)):
        if first is None or second is None or first == second:
            continue
        values, others = (np.frombuffer(content, dtype=np.float32) for content in (first, second))
        index = int(np.flatnonzero(values.view(np.uint32) != others.view(np.uint32))[0])
        raise FeaturesRefused(
            f"{features.reference}: {features.names[index]} {problem} ({values[index]:g} and {others[index]:g} at bar "
            f"{place + 1} of a made-up market)"
        )
