"""The features m5-v1: sixteen in a fixed order, finite and limited for any market."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.builders import bar, walk

from tradingsignals_server.domain.bars import HIGHEST_PRICE, LOWEST_PRICE
from tradingsignals_server.domain.calendar import calendar_for
from tradingsignals_server.domain.errors import InvalidBar
from tradingsignals_server.domain.features import M5_V1, FeatureContext, Observation
from tradingsignals_server.domain.indicators import indicators_of
from tradingsignals_server.domain.window import Window

prices = st.sampled_from([LOWEST_PRICE, HIGHEST_PRICE]) | st.floats(LOWEST_PRICE, HIGHEST_PRICE)


def observation(window: Window, progress: float = 0.5, **given: float | None) -> Observation:
    """Return the observation of a window, with indicators that a quote gives."""
    return M5_V1.observe(FeatureContext(window, calendar_for("USDCOP"), progress, given=given))


def observed(window: Window, progress: float = 0.5) -> dict[str, float]:
    """Return the observation of a window, by feature name."""
    return named(observation(window, progress))


def named(features: Observation) -> dict[str, float]:
    return dict(zip(M5_V1.names, features.tolist(), strict=True))


def flat(bars: int) -> Window:
    return Window.of([bar(i, 4000.0) for i in range(bars)])


def valid(features: Observation) -> bool:
    return bool(
        features.shape == (16,)
        and features.dtype == np.float32
        and np.isfinite(features).all()
        and (abs(features) <= 10.0).all()
    )


def test_feature_list_is_unchanged() -> None:
    assert M5_V1.name == "m5-v1"
    assert M5_V1.limit == 10.0
    assert M5_V1.names == (
        "return_1",
        "return_3",
        "return_6",
        "return_12",
        "rsi",
        "macd",
        "macd_signal",
        "macd_histogram",
        "bb_position",
        "bb_width",
        "ema_20_gap",
        "ema_50_gap",
        "ema_spread",
        "atr",
        "volatility",
        "session_progress",
    )


def test_observations_are_those_of_the_first_version_to_the_bit() -> None:
    """They were recorded before there was a catalogue."""
    recorded = json.loads((Path(__file__).parent / "golden" / "m5_v1.json").read_text())
    assert len(recorded) == 57
    for case in recorded:
        window = Window.of(walk(case["bars"], seed=case["seed"]))
        assert window.time is not None
        found = observation(window, calendar_for("USDCOP").progress(window.time))
        assert found.astype("<f4").tobytes().hex() == case["observation"], case


def test_each_feature_has_its_documented_value() -> None:
    bars = walk(100)
    closes = [one.close for one in bars]
    window = Window.of(bars)
    known = {name: value or 0.0 for name, value in asdict(indicators_of(window)).items()}
    atr, close = known["atr"], closes[-1]
    half = (known["bb_upper"] - known["bb_lower"]) / 2
    expected = {
        "return_1": 100 * math.log(close / closes[-2]),
        "return_3": 100 * math.log(close / closes[-4]),
        "return_6": 100 * math.log(close / closes[-7]),
        "return_12": 100 * math.log(close / closes[-13]),
        "rsi": (known["rsi"] - 50) / 50,
        "macd": known["macd"] / atr,
        "macd_signal": known["macd_signal"] / atr,
        "macd_histogram": known["macd_histogram"] / atr,
        "bb_position": (close - known["bb_middle"]) / half,
        "bb_width": 100 * 2 * half / known["bb_middle"],
        "ema_20_gap": (close - known["ema_20"]) / atr,
        "ema_50_gap": (close - known["ema_50"]) / atr,
        "ema_spread": (known["ema_20"] - known["ema_50"]) / atr,
        "atr": 100 * atr / close,
        "volatility": 100 * known["volatility"],
        "session_progress": 0.5,
    }
    assert observed(window) == pytest.approx(expected, rel=1e-6)
    assert len(set(expected.values())) == len(expected), "features that are equal could change places unseen"


def test_feature_with_absent_inputs_is_0() -> None:
    first = Window.of(walk(1))
    assert observation(first, 0.25).tolist() == [0.0] * 15 + [0.25]


def test_observation_without_a_bar_is_refused() -> None:
    with pytest.raises(ValueError, match="no bar"):
        observation(Window.empty())


@pytest.mark.parametrize(("bars", "returns"), [(1, 0), (2, 1), (3, 1), (4, 2), (7, 3), (12, 3), (13, 4)])
def test_return_over_n_bars_needs_n_plus_1_bars(bars: int, returns: int) -> None:
    features = observed(Window.of(walk(bars)))
    assert [features[name] != 0.0 for name in M5_V1.names[:4]] == [i < returns for i in range(4)]


def test_features_of_a_constant_price_are_0() -> None:
    features = observed(flat(100))
    assert features == {**dict.fromkeys(features, 0.0), "session_progress": 0.5}


def test_unit_is_one_basis_point_without_an_atr() -> None:
    assert named(observation(flat(15), macd=0.8))["macd"] == pytest.approx(2.0)
    assert named(observation(flat(1), macd=0.8))["macd"] == pytest.approx(2.0), "so it is at the first quote"


@given(st.lists(prices, min_size=1, max_size=110), st.floats(0, 0.999))
def test_features_are_finite_and_limited_for_any_closes(closes: list[float], progress: float) -> None:
    window = Window.of([bar(i, close) for i, close in enumerate(closes)])
    assert valid(observation(window, progress))


@given(prices, st.lists(st.floats(-1e9, 1e9) | st.none(), min_size=8, max_size=8), st.floats(1e-9, 1e6) | st.none())
def test_features_are_finite_and_limited_for_any_indicators(
    close: float, values: list[float | None], atr: float | None
) -> None:
    rsi, macd, macd_signal, macd_histogram, lower, middle, ema_20, ema_50 = values
    claimed = {
        "rsi": None if rsi is None else abs(rsi) % 100.0,
        "macd": macd,
        "macd_signal": macd_signal,
        "macd_histogram": macd_histogram,
        "bb_lower": lower,
        "bb_middle": None if middle is None else abs(middle) + 1.0,
        "bb_upper": lower if lower is None else lower + 2.0,
        "ema_20": ema_20,
        "ema_50": ema_50,
        "atr": atr,
    }
    assert valid(observation(Window.of([bar(0, close)]), 0.5, **claimed))


@pytest.mark.parametrize("last", [1e308, 1e200, 1e160, 1e-160, 1e-300, 5e-324])
def test_extreme_price_is_refused_or_gives_finite_features(last: float) -> None:
    try:
        bars = [*walk(60), bar(60, last)]
    except InvalidBar:
        return
    window = Window.of(bars)
    assert valid(observation(window))


@pytest.mark.parametrize(("last", "limit"), [(1e6, 10.0), (0.01, -10.0)])
def test_feature_of_a_wrong_price_is_clipped(last: float, limit: float) -> None:
    window = Window.of([*walk(60), bar(60, last)])
    assert observed(window)["return_1"] == limit
