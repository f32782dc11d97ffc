"""Reading the market's character off the indicators."""

from __future__ import annotations

from .indicators import ROUNDING, Indicators
from .signals import MarketRegime, TrendDirection

VOLATILE_RATIO = 1.5
"""The last bars are volatile when they move this many times as much as the window as a whole."""


def trend_direction(indicators: Indicators) -> TrendDirection | None:
    """UP or DOWN if EMA 20 is above or below EMA 50 by more than a tenth of the ATR; None without them.

    A market that does not move has no ATR, and so no trend and no regime.
    """
    if indicators.ema_20 is None or indicators.ema_50 is None or indicators.atr is None:
        return None
    spread = indicators.ema_20 - indicators.ema_50
    if abs(spread) <= indicators.atr / 10.0:
        return TrendDirection.SIDEWAYS
    return TrendDirection.UP if spread > 0 else TrendDirection.DOWN


def market_regime(indicators: Indicators) -> MarketRegime | None:
    """VOLATILE before TRENDING (averages an ATR apart) before RANGING; None without the indicators."""
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
