"""Specifications: what they refuse, frames, scaling and raw bars."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.builders import walk

from tradingsignals_server.domain.bars import Bar
from tradingsignals_server.domain.calendar import calendar_for
from tradingsignals_server.domain.features import CatalogueFeatures, FeatureContext, Features, RawBars, Scaling
from tradingsignals_server.domain.features.expression import parse
from tradingsignals_server.domain.window import Window

CALENDAR = calendar_for("USDCOP")
BARS = [replace(one, volume=float(number % 7 + 1)) for number, one in enumerate(walk(300))]
SOME = [parse(text) for text in ("return(1)", "rsi(14)", "session_progress")]


def seen(features: Features, bars: Sequence[Bar]) -> list[float]:
    """Return the observation at the newest of the bars."""
    window = Window.of(bars[-features.history_bars :])
    return list(features.observe(FeatureContext(window, CALENDAR, CALENDAR.progress(bars[-1].time))).tolist())


def test_observation_has_the_features_in_order() -> None:
    features = CatalogueFeatures("mine", SOME)
    assert features.names == ("return(1)", "rsi(14)", "session_progress")
    assert (features.size, features.warm_bars, features.history_bars, features.uses_position) == (3, 15, 100, False)
    assert seen(features, BARS)[2] == np.float32(CALENDAR.progress(BARS[-1].time))


@given(end=st.integers(120, 300), stack=st.integers(2, 6))
def test_frames_are_the_observations_of_the_newest_bars(end: int, stack: int) -> None:
    one, several = (CatalogueFeatures("mine", SOME, lookback_bars=60, stack=frames) for frames in (1, stack))
    assert several.size == 3 * stack
    expected = [number for back in range(stack - 1, -1, -1) for number in seen(one, BARS[: end - back])]
    assert seen(several, BARS[:end]) == expected


@given(end=st.integers(120, 300), stack=st.integers(2, 6))
def test_frames_before_the_session_are_zeros_if_they_start_anew(end: int, stack: int) -> None:
    one = CatalogueFeatures("mine", SOME, lookback_bars=60)
    several = CatalogueFeatures("mine", SOME, lookback_bars=60, stack=stack, stack_in_session=True)
    day = CALENDAR.session_of(BARS[end - 1].time)
    expected = list[float]()
    for back in range(stack - 1, -1, -1):
        is_of_session = CALENDAR.session_of(BARS[end - 1 - back].time) == day
        expected += seen(one, BARS[: end - back]) if is_of_session else [0.0] * 3
    assert seen(several, BARS[:end]) == expected


def test_scaling_is_applied_to_each_frame_or_to_all_together() -> None:
    mean, scale = np.array([0.1, -0.2, 0.5]), np.array([2.0, 0.5, 0.25])
    plain = CatalogueFeatures("mine", SOME, stack=2)
    expected = ((np.array(seen(plain, BARS)).reshape(2, 3) - mean) / scale).clip(-0.5, 0.5).reshape(-1)
    each = CatalogueFeatures("mine", SOME, stack=2, scaling=Scaling(mean, scale, 0.5))
    together = CatalogueFeatures("mine", SOME, stack=2, scaling=Scaling(np.tile(mean, 2), np.tile(scale, 2), 0.5))
    assert seen(each, BARS) == expected.astype(np.float32).tolist()
    assert seen(together, BARS) == expected.astype(np.float32).tolist()


def test_raw_bars_are_the_window_oldest_first() -> None:
    features = RawBars(3)
    assert (features.size, features.warm_bars, features.names) == (15, 3, ("open", "high", "low", "close", "volume"))
    rows = [(one.open, one.high, one.low, one.close, one.volume) for one in BARS[-3:]]
    assert seen(features, BARS) == np.array(rows, dtype=np.float32).reshape(-1).tolist()
    assert seen(RawBars(2, ["close", "open"]), BARS) == [
        float(np.float32(value)) for one in BARS[-2:] for value in (one.close, one.open)
    ]
    assert seen(features, BARS[:2])[:5] == [0.0] * 5, "at a quote, before there are enough bars"


def test_raw_values_are_not_limited() -> None:
    features = CatalogueFeatures("mine", [parse("close"), parse("rsi_value"), parse("momentum(1)")], limit=0.25)
    close, rsi, momentum = seen(features, BARS)
    assert close == float(np.float32(BARS[-1].close))
    assert rsi > 1.0
    assert abs(momentum) <= 0.25


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CatalogueFeatures("x", []), "names no feature"),
        (lambda: CatalogueFeatures("x", SOME, names=["a"]), "has 1 names for 3 features"),
        (
            lambda: CatalogueFeatures("x", SOME, lookback_bars=14),
            "has rsi(14), which needs 15 bars, and a lookback",
        ),
        (lambda: CatalogueFeatures("x", SOME, stack=0), "needs 100 bars and 0 frames; 1 to 5000 bars are possible"),
        (lambda: CatalogueFeatures("x", SOME, lookback_bars=6000), "needs 6000 bars and 1 frames; 1 to 5000 bars"),
        (lambda: CatalogueFeatures("x", SOME, limit=0.0), "has a limit of 0; a number above 0 is needed"),
        (
            lambda: CatalogueFeatures("x", [parse("bars_held")], stack=2),
            "has features of the position and several",
        ),
        (
            lambda: CatalogueFeatures("x", SOME, scaling=Scaling(np.zeros(2), np.ones(2))),
            "has 3 features and a scaling of 2 numbers",
        ),
        (lambda: Scaling(np.zeros(2), np.zeros(2)), "a scale is not above 0"),
        (lambda: Scaling(np.zeros(2), np.ones(3)), "a mean of shape (2,) and a scale of shape (3,)"),
        (lambda: RawBars(0), "needs 5 columns of 0 bars; 1 to 5000 are possible"),
        (lambda: RawBars(5, ["vwap"]), "has a column 'vwap'; the columns are open, high, low, close, volume"),
    ],
)
def test_what_does_not_fit_is_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        make()
