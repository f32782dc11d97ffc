"""Indicators as the older design computes them: by pandas, over the whole frame, for the last row."""

from __future__ import annotations

import numpy as np
import pandas as pd

from .messages import TechnicalFactors


def technical_factors(bars: pd.DataFrame) -> TechnicalFactors:
    """Indicators at the last of `bars`, which has the columns open, high, low and close, oldest first."""
    close = bars["close"]
    change = close.diff()
    gain = change.clip(lower=0.0).ewm(alpha=1 / 14, adjust=False).mean()
    loss = (-change).clip(lower=0.0).ewm(alpha=1 / 14, adjust=False).mean()
    rsi = 100.0 - 100.0 / (1.0 + gain / loss.replace(0.0, np.nan))
    macd = _ema(close, 12) - _ema(close, 26)
    macd_signal = _ema(macd, 9)
    middle, deviation = close.rolling(20).mean(), close.rolling(20).std(ddof=0)
    before = close.shift()
    true_range = pd.concat(
        [bars["high"] - bars["low"], (bars["high"] - before).abs(), (bars["low"] - before).abs()], axis=1
    ).max(axis=1)
    returns = np.log(close).diff()
    last = {
        "rsi": rsi,
        "macd": macd,
        "macd_signal": macd_signal,
        "macd_histogram": macd - macd_signal,
        "bb_upper": middle + 2.0 * deviation,
        "bb_middle": middle,
        "bb_lower": middle - 2.0 * deviation,
        "ema_20": _ema(close, 20),
        "ema_50": _ema(close, 50),
        "atr": true_range.ewm(alpha=1 / 14, adjust=False).mean(),
        "volatility": returns.rolling(20).std(ddof=0),
    }
    return TechnicalFactors(**{name: float(series.iloc[-1]) for name, series in last.items()})


def _ema(series: pd.Series[float], span: int) -> pd.Series[float]:
    return series.ewm(span=span, adjust=False).mean()
