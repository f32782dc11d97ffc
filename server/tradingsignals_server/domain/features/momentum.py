"""Features of momentum: oscillators and directional movement."""

from __future__ import annotations

from ..ta_lib import talib
from .context import ATR_BARS, FeatureContext, clipped, finite
from .kind import FeatureGroup, bars_parameter

MOMENTUM = FeatureGroup("Momentum and oscillators")

_FAST, _SLOW, _SIGNAL = (
    bars_parameter(12, name="fast"),
    bars_parameter(26, name="slow", lowest=3),
    bars_parameter(9, name="signal", lowest=1),
)
_MACD_SOURCE = "G. Appel, The Moving Average Convergence-Divergence Method (1979); TA-Lib MACD"
_DIRECTIONAL_SOURCE = "J. W. Wilder, New Concepts in Technical Trading Systems (1978); TA-Lib {}"


def _warm_macd(fast: int, slow: int, signal: int) -> int:
    return max(max(fast, slow) + signal - 1, ATR_BARS)


@MOMENTUM.add(
    "rsi",
    "Relative strength index, centred",
    "(RSI - 50) / 50",
    "-1 to 1",
    bars_parameter(14),
    warm=lambda bars: bars + 1,
    bounds=(-1.0, 1.0),
    source="J. W. Wilder, New Concepts in Technical Trading Systems (1978); TA-Lib RSI",
)
def _rsi(context: FeatureContext, bars: int) -> float | None:
    found = context.indicators.rsi if bars == 14 else context.rsi(bars)
    return None if found is None else (found - 50.0) / 50.0


@MOMENTUM.add(
    "macd",
    "MACD line",
    "(EMA fast - EMA slow) / ATR 14",
    "ATR",
    _FAST,
    _SLOW,
    _SIGNAL,
    warm=_warm_macd,
    source=_MACD_SOURCE,
    increasing=True,
)
def _macd(context: FeatureContext, fast: int, slow: int, signal: int) -> float | None:
    line = context.macd(fast, slow, signal)[0]
    return None if line is None or context.unit is None else line / context.unit


@MOMENTUM.add(
    "macd_signal",
    "Signal line of the MACD",
    "EMA signal of the MACD line / ATR 14",
    "ATR",
    _FAST,
    _SLOW,
    _SIGNAL,
    warm=_warm_macd,
    source=_MACD_SOURCE,
    increasing=True,
)
def _macd_signal(context: FeatureContext, fast: int, slow: int, signal: int) -> float | None:
    smooth = context.macd(fast, slow, signal)[1]
    return None if smooth is None or context.unit is None else smooth / context.unit


@MOMENTUM.add(
    "macd_histogram",
    "MACD line less its signal line",
    "(MACD line - signal line) / ATR 14",
    "ATR",
    _FAST,
    _SLOW,
    _SIGNAL,
    warm=_warm_macd,
    source=_MACD_SOURCE,
    increasing=True,
)
def _macd_histogram(context: FeatureContext, fast: int, slow: int, signal: int) -> float | None:
    histogram = context.macd(fast, slow, signal)[2]
    return None if histogram is None or context.unit is None else histogram / context.unit


@MOMENTUM.add(
    "rsi_value",
    "Relative strength index",
    "RSI",
    "0 to 100",
    bars_parameter(14),
    warm=lambda bars: bars + 1,
    bounds=(0.0, 100.0),
    source="J. W. Wilder, New Concepts in Technical Trading Systems (1978); TA-Lib RSI",
    raw=True,
    neutral=50.0,
)
def _rsi_value(context: FeatureContext, bars: int) -> float | None:
    return context.rsi(bars)


@MOMENTUM.add(
    "stochastic_k",
    "Slow stochastic %K, centred",
    "mean of smooth values of 100 (c - lowest low) / (highest high - lowest low), as (x - 50) / 50",
    "-1 to 1",
    bars_parameter(14),
    bars_parameter(3, name="smooth", lowest=1),
    warm=lambda bars, smooth: bars + smooth - 1,
    bounds=(-1.0, 1.0),
    source="G. Lane, Lane's Stochastics (1984); TA-Lib STOCH",
)
def _stochastic_k(context: FeatureContext, bars: int, smooth: int) -> float | None:
    return _stochastic(context, bars, smooth, 1, bars + smooth - 1)


@MOMENTUM.add(
    "stochastic_d",
    "Slow stochastic %D, centred",
    "mean of signal values of %K, as (x - 50) / 50",
    "-1 to 1",
    bars_parameter(14),
    bars_parameter(3, name="smooth", lowest=1),
    bars_parameter(3, name="signal", lowest=1),
    warm=lambda bars, smooth, signal: bars + smooth + signal - 2,
    bounds=(-1.0, 1.0),
    source="G. Lane, Lane's Stochastics (1984); TA-Lib STOCH",
)
def _stochastic_d(context: FeatureContext, bars: int, smooth: int, signal: int) -> float | None:
    return _stochastic(context, bars, smooth, signal, bars + smooth + signal - 2)


def _stochastic(context: FeatureContext, bars: int, smooth: int, signal: int, warm: int) -> float | None:
    if context.bars < warm or context.extremes(bars) is None:
        return None
    high, low, close = context.window.rows[1:4]
    found = finite(talib.STOCH(high, low, close, fastk_period=bars, slowk_period=smooth, slowd_period=signal)[1][-1])
    return None if found is None else clipped((found - 50.0) / 50.0, 1.0)


@MOMENTUM.add(
    "williams_r",
    "Williams %R, centred",
    "-100 (highest high - c) / (highest high - lowest low), as (x + 50) / 50",
    "-1 to 1",
    bars_parameter(14),
    warm=lambda bars: bars,
    bounds=(-1.0, 1.0),
    source="L. Williams, How I Made One Million Dollars (1973); TA-Lib WILLR",
)
def _williams_r(context: FeatureContext, bars: int) -> float | None:
    found = context.of_bars(talib.WILLR, bars, bars) if context.extremes(bars) is not None else None
    return None if found is None else clipped((found + 50.0) / 50.0, 1.0)


@MOMENTUM.add(
    "cci",
    "Commodity channel index",
    "(t - mean of t) / (0.015 mean absolute deviation of t) / 100, where t = (h + l + c) / 3",
    "hundreds",
    bars_parameter(20),
    warm=lambda bars: bars,
    source="D. Lambert, Commodity Channel Index (1980); TA-Lib CCI",
)
def _cci(context: FeatureContext, bars: int) -> float | None:
    found = context.of_bars(talib.CCI, bars, bars) if context.extremes(bars) is not None else None
    return None if found is None else found / 100.0


@MOMENTUM.add(
    "cmo",
    "Chande momentum oscillator",
    "(gains - losses) / (gains + losses), smoothed as Wilder does",
    "-1 to 1",
    bars_parameter(14),
    warm=lambda bars: bars + 1,
    bounds=(-1.0, 1.0),
    source="T. Chande, The New Technical Trader (1994); TA-Lib CMO",
)
def _cmo(context: FeatureContext, bars: int) -> float | None:
    found = context.average(talib.CMO, bars, bars + 1) if context.has_moved else None
    return None if found is None else clipped(found / 100.0, 1.0)


@MOMENTUM.add(
    "aroon",
    "Aroon oscillator",
    "(bars since the lowest low - bars since the highest high) / bars over bars + 1 bars",
    "-1 to 1",
    bars_parameter(25),
    warm=lambda bars: bars + 1,
    bounds=(-1.0, 1.0),
    source="T. Chande, Stocks & Commodities 13:9 (1995); TA-Lib AROONOSC",
)
def _aroon(context: FeatureContext, bars: int) -> float | None:
    if context.extremes(bars + 1) is None:
        return None
    found = finite(talib.AROONOSC(context.window.high, context.window.low, bars)[-1])
    return None if found is None else clipped(found / 100.0, 1.0)


@MOMENTUM.add(
    "trix",
    "Change of the triple exponential moving average",
    "100 (T / T[1] - 1), where T is the EMA of the EMA of the EMA",
    "percent for one bar",
    bars_parameter(15),
    warm=lambda bars: 3 * (bars - 1) + 2,
    source="J. Hutson, Stocks & Commodities 1:5 (1983); TA-Lib TRIX",
)
def _trix(context: FeatureContext, bars: int) -> float | None:
    return context.average(talib.TRIX, bars, 3 * (bars - 1) + 2)


@MOMENTUM.add(
    "adx",
    "Average directional index: the strength of a trend, of either side",
    "ADX / 100",
    "0 to 1",
    bars_parameter(14),
    warm=lambda bars: 2 * bars,
    bounds=(0.0, 1.0),
    source=_DIRECTIONAL_SOURCE.format("ADX"),
)
def _adx(context: FeatureContext, bars: int) -> float | None:
    found = context.of_bars(talib.ADX, bars, 2 * bars) if context.has_ranged else None
    return None if found is None else clipped(found / 100.0, 1.0)


@MOMENTUM.add(
    "plus_di",
    "Positive directional indicator",
    "+DI / 100",
    "0 to 1",
    bars_parameter(14),
    warm=lambda bars: bars + 1,
    bounds=(0.0, 1.0),
    source=_DIRECTIONAL_SOURCE.format("PLUS_DI"),
)
def _plus_di(context: FeatureContext, bars: int) -> float | None:
    found = context.of_bars(talib.PLUS_DI, bars, bars + 1) if context.has_ranged else None
    return None if found is None else clipped(found / 100.0, 1.0)


@MOMENTUM.add(
    "minus_di",
    "Negative directional indicator",
    "-DI / 100",
    "0 to 1",
    bars_parameter(14),
    warm=lambda bars: bars + 1,
    bounds=(0.0, 1.0),
    source=_DIRECTIONAL_SOURCE.format("MINUS_DI"),
)
def _minus_di(context: FeatureContext, bars: int) -> float | None:
    found = context.of_bars(talib.MINUS_DI, bars, bars + 1) if context.has_ranged else None
    return None if found is None else clipped(found / 100.0, 1.0)


@MOMENTUM.add(
    "di_spread",
    "Difference of the directional indicators",
    "(+DI - -DI) / 100",
    "-1 to 1",
    bars_parameter(14),
    warm=lambda bars: bars + 1,
    bounds=(-1.0, 1.0),
    source=_DIRECTIONAL_SOURCE.format("PLUS_DI, MINUS_DI"),
)
def _di_spread(context: FeatureContext, bars: int) -> float | None:
    plus, minus = _plus_di(context, bars), _minus_di(context, bars)
    return None if plus is None or minus is None else plus - minus
