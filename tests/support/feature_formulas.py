"""The features of the catalogue by plain formulas of numpy, without TA-Lib and without the code of the service."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Bars:
    """Arrays of shape (n,), the oldest bar first."""

    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats


def wilder(values: Floats, bars: int) -> Floats:
    """Smooth as Wilder does: the mean of the first `bars` values, then mean += (value - mean) / bars."""
    found = [float(values[:bars].mean())]
    for value in values[bars:]:
        found.append((found[-1] * (bars - 1) + float(value)) / bars)
    return np.array(found)


def ema(values: Floats, bars: int) -> Floats:
    """Exponential moving average from the mean of the first `bars` values on."""
    found = [float(values[:bars].mean())]
    for value in values[bars:]:
        found.append(found[-1] + 2.0 / (bars + 1) * (float(value) - found[-1]))
    return np.array(found)


def true_ranges(b: Bars) -> Floats:
    """True ranges from the second bar on."""
    return np.maximum(b.high[1:], b.close[:-1]) - np.minimum(b.low[1:], b.close[:-1])


def atr(b: Bars, bars: int = 14) -> float:
    """Newest average true range."""
    return float(wilder(true_ranges(b), bars)[-1])


def rsi(b: Bars, bars: int) -> float:
    """Relative strength index, 0 to 100."""
    changes = np.diff(b.close)
    gains, losses = wilder(np.maximum(changes, 0), bars)[-1], wilder(np.maximum(-changes, 0), bars)[-1]
    return float(100 * gains / (gains + losses))


def macd(b: Bars, fast: int, slow: int, signal: int) -> tuple[float, float]:
    """MACD line and signal. TA-Lib starts both averages at the same bar."""
    line = ema(b.close[slow - fast :], fast) - ema(b.close, slow)
    return float(line[-1]), float(ema(line, signal)[-1])


def kama(b: Bars, bars: int) -> float:
    """Adaptive moving average of Kaufman, with periods of 2 and 30."""
    value = float(b.close[bars - 1])
    for i in range(bars, len(b.close)):
        path = float(np.abs(np.diff(b.close[i - bars : i + 1])).sum())
        ratio = abs(float(b.close[i] - b.close[i - bars])) / path
        value += (ratio * (2 / 3 - 2 / 31) + 2 / 31) ** 2 * (float(b.close[i]) - value)
    return value


def stochastic(b: Bars, bars: int, smooth: int) -> Floats:
    """All values of the slow %K."""
    raw = [
        100
        * (b.close[i] - b.low[i + 1 - bars : i + 1].min())
        / (b.high[i + 1 - bars : i + 1].max() - b.low[i + 1 - bars : i + 1].min())
        for i in range(bars - 1, len(b.close))
    ]
    return np.convolve(raw, np.ones(smooth) / smooth, "valid")


def directional(b: Bars, bars: int) -> tuple[float, float, float]:
    """+DI, -DI and ADX, 0 to 100, with the sums of Wilder."""
    up, down = np.diff(b.high), -np.diff(b.low)
    plus, minus = np.where((up > down) & (up > 0), up, 0), np.where((down > up) & (down > 0), down, 0)
    ranges = true_ranges(b)
    sums = [float(values[: bars - 1].sum()) for values in (plus, minus, ranges)]
    found: list[float] = []
    di_plus = di_minus = 0.0
    for i in range(bars - 1, len(ranges)):
        sums = [
            total - total / bars + float(values[i]) for total, values in zip(sums, (plus, minus, ranges), strict=True)
        ]
        di_plus, di_minus = 100 * sums[0] / sums[2], 100 * sums[1] / sums[2]
        found.append(100 * abs(di_plus - di_minus) / (di_plus + di_minus))
    return di_plus, di_minus, float(wilder(np.array(found), bars)[-1]) if len(found) >= bars else math.nan


def money_flow_index(b: Bars, bars: int) -> float:
    """Money flow index, -1 to 1."""
    typical = (b.high + b.low + b.close) / 3
    changes, flow = np.diff(typical)[-bars:], (typical * b.volume)[-bars:]
    rise, fall = flow[changes > 0].sum(), flow[changes < 0].sum()
    return float((rise - fall) / (rise + fall))


def chande(b: Bars, bars: int) -> float:
    """Chande momentum oscillator, -1 to 1."""
    return (rsi(b, bars) - 50) / 50


def aroon(b: Bars, bars: int) -> float:
    """Aroon oscillator, -1 to 1. The newest of equal extremes counts."""
    high, low = b.high[-bars - 1 :][::-1], b.low[-bars - 1 :][::-1]
    return float(int(low.argmin()) - int(high.argmax())) / bars


def cci(b: Bars, bars: int) -> float:
    """Commodity channel index, in hundreds."""
    typical = ((b.high + b.low + b.close) / 3)[-bars:]
    deviation = np.abs(typical - typical.mean()).mean()
    return float((typical[-1] - typical.mean()) / (0.015 * deviation) / 100)


def trix(b: Bars, bars: int) -> float:
    """Change of the triple EMA in percent."""
    triple = ema(ema(ema(b.close, bars), bars), bars)
    return float(100 * (triple[-1] / triple[-2] - 1))


def moment(b: Bars, bars: int, power: int) -> float:
    """Standardised moment of the log returns."""
    returns = np.diff(np.log(b.close))[-bars:]
    deviations = returns - returns.mean()
    return float((deviations**power).mean() / (deviations**2).mean() ** (power / 2))


def autocorrelation(b: Bars, bars: int) -> float:
    """Correlation of log returns with those before."""
    returns = np.diff(np.log(b.close))[-bars:]
    deviations = returns - returns.mean()
    return float((deviations[1:] * deviations[:-1]).sum() / (deviations**2).sum())


def volatility(b: Bars, bars: int) -> float:
    """Standard deviation of log returns in percent."""
    return float(100 * np.diff(np.log(b.close))[-bars:].std())


def weighted(b: Bars, bars: int) -> float:
    """Linearly weighted moving average."""
    return float(np.average(b.close[-bars:], weights=np.arange(1, bars + 1)))


def vwap(b: Bars, bars: int) -> float:
    """Volume-weighted mean of the typical prices."""
    return float(np.average(((b.high + b.low + b.close) / 3)[-bars:], weights=b.volume[-bars:]))


def places(b: Bars, bars: int) -> float:
    """Chaikin money flow."""
    ranges = (b.high - b.low)[-bars:]
    place = ((2 * b.close - b.high - b.low)[-bars:]) / ranges
    return float((place * b.volume[-bars:]).sum() / b.volume[-bars:].sum())


def garman_klass(b: Bars, bars: int) -> float:
    """Volatility of Garman and Klass in percent."""
    ranges, bodies = np.log(b.high / b.low)[-bars:], np.log(b.close / b.open)[-bars:]
    return float(100 * math.sqrt((ranges**2 / 2 - (2 * math.log(2) - 1) * bodies**2).mean()))


def obv(b: Bars, bars: int) -> float:
    """On-balance volume over a window."""
    volumes = b.volume[-bars:]
    return float((np.sign(np.diff(b.close)[-bars:]) * volumes).sum() / volumes.sum())


def sma(b: Bars, bars: int) -> float:
    """Simple moving average."""
    return float(b.close[-bars:].mean())


def last_ema(b: Bars, bars: int) -> float:
    """Newest exponential moving average."""
    return float(ema(b.close, bars)[-1])


def extremes(b: Bars, bars: int) -> tuple[float, float]:
    """Highest high and lowest low."""
    return float(b.high[-bars:].max()), float(b.low[-bars:].min())


def place(b: Bars, bars: int) -> float:
    """Place of the close between the extremes, 0 to 1."""
    high, low = extremes(b, bars)
    return float((b.close[-1] - low) / (high - low))


def downside(b: Bars, bars: int) -> float:
    """Share of the negative returns in the squares."""
    returns = np.diff(np.log(b.close))[-bars:]
    return float((returns[returns < 0] ** 2).sum() / (returns**2).sum())


def _half_band(b: Bars, n: int, w: float) -> float:
    return float(w * b.close[-n:].std())


FORMULAS: Mapping[str, Callable[..., float]] = {
    "return": lambda b, n: 100 * math.log(b.close[-1] / b.close[-1 - n]),
    "simple_return": lambda b, n: 100 * (b.close[-1] / b.close[-1 - n] - 1),
    "open_gap": lambda b: 100 * math.log(b.open[-1] / b.close[-2]),
    "momentum": lambda b, n: (b.close[-1] - b.close[-1 - n]) / atr(b),
    "efficiency_ratio": lambda b, n: abs(b.close[-1] - b.close[-1 - n]) / np.abs(np.diff(b.close))[-n:].sum(),
    "up_ratio": lambda b, n: 2 * (np.diff(b.close)[-n:] > 0).mean() - 1,
    "autocorrelation": autocorrelation,
    "slope": lambda b, n: np.polyfit(np.arange(n), b.close[-n:], 1)[0] / atr(b),
    "rsi": lambda b, n: (rsi(b, n) - 50) / 50,
    "rsi_value": rsi,
    "macd": lambda b, *p: macd(b, *p)[0] / atr(b),
    "macd_signal": lambda b, *p: macd(b, *p)[1] / atr(b),
    "macd_histogram": lambda b, *p: (macd(b, *p)[0] - macd(b, *p)[1]) / atr(b),
    "stochastic_k": lambda b, n, s: (stochastic(b, n, s)[-1] - 50) / 50,
    "stochastic_d": lambda b, n, s, d: (stochastic(b, n, s)[-d:].mean() - 50) / 50,
    "williams_r": lambda b, n: 2 * place(b, n) - 1,
    "cci": cci,
    "cmo": chande,
    "aroon": aroon,
    "trix": trix,
    "adx": lambda b, n: directional(b, n)[2] / 100,
    "plus_di": lambda b, n: directional(b, n)[0] / 100,
    "minus_di": lambda b, n: directional(b, n)[1] / 100,
    "di_spread": lambda b, n: (directional(b, n)[0] - directional(b, n)[1]) / 100,
    "ema_gap": lambda b, n: (b.close[-1] - last_ema(b, n)) / atr(b),
    "ema_spread": lambda b, f, s: (last_ema(b, f) - last_ema(b, s)) / atr(b),
    "sma_gap": lambda b, n: (b.close[-1] - sma(b, n)) / atr(b),
    "sma_spread": lambda b, f, s: (sma(b, f) - sma(b, s)) / atr(b),
    "wma_gap": lambda b, n: (b.close[-1] - weighted(b, n)) / atr(b),
    "kama_gap": lambda b, n: (b.close[-1] - kama(b, n)) / atr(b),
    "atr_pct": lambda b, n: 100 * atr(b, n) / b.close[-1],
    "volatility": volatility,
    "true_range": lambda b: true_ranges(b)[-1] / atr(b),
    "volatility_ratio": lambda b, f, s: volatility(b, f) / volatility(b, s),
    "parkinson": lambda b, n: 100 * math.sqrt((np.log(b.high / b.low)[-n:] ** 2).mean() / (4 * math.log(2))),
    "garman_klass": garman_klass,
    "downside": downside,
    "skew": lambda b, n: moment(b, n, 3),
    "kurtosis": lambda b, n: moment(b, n, 4) - 3,
    "bb_position": lambda b, n, w: (b.close[-1] - sma(b, n)) / _half_band(b, n, w),
    "bb_width": lambda b, n, w: 200 * _half_band(b, n, w) / sma(b, n),
    "zscore": lambda b, n: (b.close[-1] - sma(b, n)) / b.close[-n:].std(),
    "donchian_position": lambda b, n: 2 * place(b, n) - 1,
    "donchian_width": lambda b, n: (extremes(b, n)[0] - extremes(b, n)[1]) / atr(b),
    "keltner_position": lambda b, n, w: (b.close[-1] - last_ema(b, n)) / (w * atr(b, n)),
    "body": lambda b: (b.close[-1] - b.open[-1]) / (b.high[-1] - b.low[-1]),
    "upper_shadow": lambda b: (b.high[-1] - max(b.open[-1], b.close[-1])) / (b.high[-1] - b.low[-1]),
    "lower_shadow": lambda b: (min(b.open[-1], b.close[-1]) - b.low[-1]) / (b.high[-1] - b.low[-1]),
    "close_position": lambda b: place(b, 1),
    "range_pct": lambda b: 100 * (b.high[-1] - b.low[-1]) / b.close[-1],
    "body_pct": lambda b: 100 * math.log(b.close[-1] / b.open[-1]),
    "volume_ratio": lambda b, n: b.volume[-1] / b.volume[-n:].mean() - 1,
    "volume_zscore": lambda b, n: (b.volume[-1] - b.volume[-n:].mean()) / b.volume[-n:].std(),
    "obv": obv,
    "mfi": money_flow_index,
    "money_flow": places,
    "vwap_gap": lambda b, n: (b.close[-1] - vwap(b, n)) / atr(b),
    "open": lambda b: b.open[-1],
    "high": lambda b: b.high[-1],
    "low": lambda b: b.low[-1],
    "close": lambda b: b.close[-1],
    "volume": lambda b: b.volume[-1],
    "sma": sma,
    "ema": last_ema,
    "atr": atr,
    "macd_value": lambda b, *p: macd(b, *p)[0],
    "macd_signal_value": lambda b, *p: macd(b, *p)[1],
    "bb_upper": lambda b, n, w: sma(b, n) + _half_band(b, n, w),
    "bb_lower": lambda b, n, w: sma(b, n) - _half_band(b, n, w),
}
"""Every kind that is computed from bars, by its name, as a function of the bars and its parameters."""
