"""Trend and regime at the boundaries of their rules."""

from __future__ import annotations

import pytest

from tradingsignals_server.domain.indicators import Indicators
from tradingsignals_server.domain.market_state import market_regime, trend_direction
from tradingsignals_server.domain.signals import MarketRegime, TrendDirection


@pytest.mark.parametrize(
    ("ema_20", "expected"),
    [
        (100.25, TrendDirection.SIDEWAYS),
        (100.26, TrendDirection.UP),
        (100.0, TrendDirection.SIDEWAYS),
        (99.75, TrendDirection.SIDEWAYS),
        (99.74, TrendDirection.DOWN),
    ],
)
def test_trend_needs_more_than_a_tenth_of_the_atr(ema_20: float, expected: TrendDirection) -> None:
    assert trend_direction(Indicators(ema_20=ema_20, ema_50=100.0, atr=2.5)) is expected


@pytest.mark.parametrize(
    ("ema_20", "volatility", "expected"),
    [
        (102.5, 0.001, MarketRegime.RANGING),
        (102.6, 0.001, MarketRegime.TRENDING),
        (97.4, 0.001, MarketRegime.TRENDING),
        (100.0, 0.0015, MarketRegime.RANGING),
        (100.0, 0.0016, MarketRegime.VOLATILE),
        (109.0, 0.0016, MarketRegime.VOLATILE),
    ],
)
def test_volatile_precedes_trending_precedes_ranging(ema_20: float, volatility: float, expected: MarketRegime) -> None:
    found = Indicators(ema_20=ema_20, ema_50=100.0, atr=2.5, volatility=volatility, window_volatility=0.001)
    assert market_regime(found) is expected


@pytest.mark.parametrize("missing", ["ema_20", "ema_50", "atr"])
def test_trend_and_regime_are_none_without_their_indicators(missing: str) -> None:
    known = {"ema_20": 100.0, "ema_50": 100.0, "atr": 1.0}
    del known[missing]
    assert trend_direction(Indicators(**known)) is None
    assert market_regime(Indicators(**known)) is None


def test_regime_without_volatility_depends_on_the_averages() -> None:
    assert market_regime(Indicators(ema_20=110.0, ema_50=100.0, atr=1.0)) is MarketRegime.TRENDING
