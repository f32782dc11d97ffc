"""Indicators: bit-identical to TA-Lib on the same bars, None until they can be computed, and free of state."""

from __future__ import annotations

import math
import random
from dataclasses import asdict, fields, replace
from datetime import date, timedelta
from functools import partial
from itertools import pairwise
from statistics import pstdev

import numpy as np
import pytest
import talib
from hypothesis import given
from hypothesis import strategies as st
from tests.support.builders import OPENING, SURE, bar, feed_bars, walk

from tradingsignals_server.domain.bars import Bar
from tradingsignals_server.domain.indicators import WARM_BARS, Indicators, indicators_of, side_of
from tradingsignals_server.domain.intervals import DEFAULT_INTERVAL
from tradingsignals_server.domain.market_state import market_regime, trend_direction
from tradingsignals_server.domain.risk import RiskRules, TradeTally, decide
from tradingsignals_server.domain.signals import Action
from tradingsignals_server.domain.window import LOOKBACK_BARS, Window

FIRST_BARS = {
    "rsi": 15,
    "atr": 15,
    "bb_upper": 20,
    "bb_middle": 20,
    "bb_lower": 20,
    "ema_20": 20,
    "volatility": 21,
    "macd": 34,
    "macd_signal": 34,
    "macd_histogram": 34,
    "macd_histogram_before": 35,
    "ema_50": 50,
    "window_volatility": 50,
}
"""Number of bars from which on each indicator exists."""


def by_talib(window: Window) -> dict[str, float]:
    """Return the indicators of a warm window as TA-Lib computes them directly."""
    high, low, close = window.rows[1:4]
    upper, middle, lower = talib.BBANDS(close, timeperiod=20, nbdevup=2, nbdevdn=2)
    macd, signal, histogram = talib.MACD(close, fastperiod=12, slowperiod=26, signalperiod=9)
    return {
        "rsi": talib.RSI(close, timeperiod=14)[-1],
        "atr": talib.ATR(high, low, close, timeperiod=14)[-1],
        "bb_upper": upper[-1],
        "bb_middle": middle[-1],
        "bb_lower": lower[-1],
        "ema_20": talib.EMA(close, timeperiod=20)[-1],
        "ema_50": talib.EMA(close, timeperiod=50)[-1],
        "macd": macd[-1],
        "macd_signal": signal[-1],
        "macd_histogram": histogram[-1],
        "macd_histogram_before": histogram[-2],
    }


def known(found: Indicators) -> set[str]:
    return {name for name, value in asdict(found).items() if value is not None}


@given(bars=st.integers(51, 300), seed=st.integers(0, 10**6))
def test_indicators_are_bit_identical_to_talib(bars: int, seed: int) -> None:
    window = Window.of(walk(bars, seed=seed))
    found = asdict(indicators_of(window))
    assert {name: found[name] for name in by_talib(window)} == by_talib(window)


def test_these_tests_cover_every_indicator() -> None:
    assert {field.name for field in fields(Indicators)} == set(FIRST_BARS)


@pytest.mark.parametrize("bars", range(101))
def test_indicator_is_none_until_it_has_enough_bars(bars: int) -> None:
    found = indicators_of(Window.of(walk(bars)))
    assert known(found) == {name for name, first in FIRST_BARS.items() if bars >= first}
    assert all(math.isfinite(value) for value in asdict(found).values() if value is not None)


def test_talib_needs_as_many_bars() -> None:
    close = Window.of(walk(WARM_BARS)).close
    first = {
        "rsi": np.isfinite(talib.RSI(close, 14)).argmax() + 1,
        "ema_20": np.isfinite(talib.EMA(close, 20)).argmax() + 1,
        "ema_50": np.isfinite(talib.EMA(close, 50)).argmax() + 1,
        "macd_signal": np.isfinite(talib.MACD(close, 12, 26, 9)[1]).argmax() + 1,
        "bb_upper": np.isfinite(talib.BBANDS(close, 20, 2.0, 2.0)[0]).argmax() + 1,
    }
    assert first == {name: FIRST_BARS[name] for name in first}


def test_warm_window_has_every_indicator() -> None:
    assert max(FIRST_BARS.values()) == WARM_BARS


@given(bars=st.integers(50, 130), seed=st.integers(0, 10**6))
def test_volatility_is_the_standard_deviation_of_log_returns(bars: int, seed: int) -> None:
    window = Window.of(walk(bars, seed=seed))
    closes = window.close.tolist()
    returns = [math.log(after / before) for before, after in pairwise(closes)]
    found = indicators_of(window)
    assert found.volatility == pytest.approx(pstdev(returns[-20:]), rel=1e-9)
    assert found.window_volatility == pytest.approx(pstdev(returns), rel=1e-9)


@given(drift=st.sampled_from([1.0, 1.001, 0.999, 1.01]), flat=st.floats(0.01, 1e6))
def test_volatility_of_constant_returns_is_0(drift: float, flat: float) -> None:
    steady = [bar(i, flat * drift**i) for i in range(60)]
    found = indicators_of(Window.of(steady))
    assert found.volatility == pytest.approx(0.0, abs=1e-8)
    assert found.window_volatility == pytest.approx(0.0, abs=1e-8)


@given(cut=st.integers(1, 300), seed=st.integers(0, 10**6))
def test_indicators_depend_on_the_window_alone(cut: int, seed: int) -> None:
    bars = walk(300, seed=seed)[:cut]
    live = Window.empty()
    for one in bars:
        live = live.append(one)
    assert indicators_of(live) == indicators_of(Window.of(bars[-LOOKBACK_BARS:]))


@given(seed=st.integers(0, 10**6), other=st.integers(0, 10**6))
def test_bars_before_the_window_have_no_effect(seed: int, other: int) -> None:
    newest = walk(220, seed=seed)[-LOOKBACK_BARS:]
    found = []
    for past in (walk(120, seed=seed), walk(120, seed=other)):
        window = Window.of(past[-LOOKBACK_BARS:])
        for one in newest:
            window = window.append(one)
        found.append(indicators_of(window))
    assert found[0] == found[1]


def test_indicators_of_is_a_pure_function() -> None:
    window = Window.of(walk(100))
    prices = window.rows.tobytes()
    assert indicators_of(window) == indicators_of(window)
    assert window.rows.tobytes() == prices


@given(st.floats(1e-6, 1e9), st.integers(0, 10**6))
def test_differences_from_rounding_count_as_none(price: float, seed: int) -> None:
    """Prices that differ by rounding only have no RSI, no bands, no cross and no trend."""
    dice = random.Random(seed)  # not used for security
    bars = []
    for i in range(60):
        open_, close = (price * (1.0 + dice.uniform(-1.0, 1.0) * 1e-14) for _ in range(2))
        bars.append(bar(i, open_, close=close))
    found = indicators_of(Window.of(bars))
    assert (found.rsi, found.atr, found.bb_upper, found.bb_middle, found.bb_lower) == (None,) * 5
    assert (trend_direction(found), market_regime(found)) == (None, None)
    made = decide(
        "USDCOP", SURE[Action.BUY], bars[-1].close, replace(found, atr=price / 100.0), RiskRules(), TradeTally()
    )
    assert made.reasoning == ("Model confidence: 90.0%",)


def test_flat_closes_in_moving_bars_have_an_atr_and_no_rsi() -> None:
    found = indicators_of(Window.of([bar(i, 4000.0, high=4001.0 + i % 3, low=3999.0) for i in range(60)]))
    assert found.atr is not None
    assert (found.rsi, found.bb_upper) == (None, None)


def test_closes_that_have_stopped_moving_keep_their_rsi() -> None:
    """Wilder's averages still contain the earlier moves."""
    bars = [*walk(40), *(bar(one.time, 4000.0) for one in walk(80)[40:])]
    assert indicators_of(Window.of(bars)).rsi is not None


def test_constant_price_has_no_atr() -> None:
    still = [Bar("USDCOP", OPENING + i * DEFAULT_INTERVAL, 4000.0, 4000.0, 4000.0, 4000.0) for i in range(60)]
    found = indicators_of(Window.of(still))
    assert (found.rsi, found.atr, found.bb_upper, found.bb_middle, found.bb_lower) == (None,) * 5
    assert (found.macd, found.volatility) == (0.0, 0.0)
    assert found.ema_20 == found.ema_50 == 4000.0


def test_incremental_month_of_bars_equals_talib() -> None:
    month = partial(date, 2025, 6)
    bars = feed_bars(month(1), month(30))
    assert len(bars) > 1000
    live = Window.empty()
    for count, one in enumerate(bars, 1):
        live = live.append(one)
        found = asdict(indicators_of(live))
        if count <= WARM_BARS:
            continue
        window = Window.of(bars[max(0, count - LOOKBACK_BARS) : count])
        assert {name: found[name] for name in by_talib(window)} == by_talib(window), one.time
    assert bars[-1].time - bars[0].time > timedelta(days=20)


def test_closes_that_return_to_the_first_one_have_an_rsi() -> None:
    bars = walk(60)
    assert indicators_of(Window.of([*bars, bar(60, bars[0].close)])).rsi is not None


@pytest.mark.parametrize(("difference", "side"), [(1.0, 1), (0.0, 0), (1e-13, 0), (-1e-13, 0), (-1.0, -1)])
def test_side_is_a_sign_and_zero_for_rounding_errors(difference: float, side: int) -> None:
    assert side_of(difference, 4000.0) == side
