"""Trend and regime of the market, derived from the indicators."""

from __future__ import annotations

from .indicators import ROUNDING, Indicators
from .signals import MarketRegime, TrendDirection

VOLATILE_RATIO = 1.5
"""Ratio of `volatility` to `window_volatility` above which the market is volatile."""


def trend_direction(indicators: Indicators) -> TrendDirection | None:
    """Return UP or DOWN if EMA 20 is more than a tenth of the ATR above or below EMA 50, else SIDEWAYS.

    It is None if one of the three is absent. A market that does not move has no ATR, hence no trend and no regime.
    """
    if indicators.ema_20 is None or indicators.ema_50 is None or indicators.atr is None:
        return None
    spread = indicators.ema_20 - indicators.ema_50
    if abs(spread) <= indicators.atr / 10.0:
        return TrendDirection.SIDEWAYS
    return TrendDirection.UP if spread > 0 else TrendDirection.DOWN


def market_regime(indicators: Indicators) -> MarketRegime | None:
    """Return VOLATILE, else TRENDING if the averages are more than one ATR apart, else RANGING.

    It is None if EMA 20, EMA 50 or the ATR is absent.
    """
    known = indicators
    if known.ema_20 is None or known.ema_50 is None or known.atr is None:
        return None
    if (
        known.volatility is not None
        and known.window_volatility is not None
        and known.volatility > max(VOLATILE_RATIO * known.window_volatility, ROUNDING)
    ):
        return MarketRegime.VOLATILE
    return MarketRegime.TRENDING if abs(known.ema_20 - known.ema_50) > known.atr else MarketRegime.RANGING
