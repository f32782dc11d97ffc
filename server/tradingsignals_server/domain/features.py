"""The observation of a policy: a versioned, ordered list of features computed from a window and its indicators."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from .indicators import Indicators
from .window import Window

FEATURE_SPECIFICATION = "m5-v1"
"""Name of this list of features. A change to a feature, to its scale or to the order requires a new name."""

FEATURE_NAMES = (
    "return_1",  # log return of the close over 1 bar, in percent
    "return_3",  # over 3 bars
    "return_6",  # over 6 bars
    "return_12",  # over 12 bars
    "rsi",  # (RSI - 50) / 50
    "macd",  # MACD line in ATR
    "macd_signal",  # its signal line in ATR
    "macd_histogram",  # their difference in ATR
    "bb_position",  # distance from the middle band, in half band widths
    "bb_width",  # distance of the bands, in percent of the middle band
    "ema_20_gap",  # close less EMA 20, in ATR
    "ema_50_gap",  # close less EMA 50, in ATR
    "ema_spread",  # EMA 20 less EMA 50, in ATR
    "atr",  # ATR in percent of the close
    "volatility",  # in percent for one bar
    "session_progress",  # 0 at the first bar of the session, just under 1 at its last
)
FEATURE_LIMIT = 10.0
"""Bound of the absolute value of a feature, so that one wrong price cannot dominate the policy."""

Observation = npt.NDArray[np.float32]


def observation(window: Window, indicators: Indicators, session_progress: float) -> Observation:
    """Return the features in the order of FEATURE_NAMES: shape (16,), float32, finite, within +/- FEATURE_LIMIT.

    A feature whose inputs are absent is 0, which is the neutral value of each feature.
    """
    closes = window.close[-13:].tolist()
    close = closes[-1] if closes else None
    known = indicators

    def log_return(bars: int) -> float | None:
        return 100.0 * math.log(closes[-1] / closes[-1 - bars]) if len(closes) > bars else None

    # A market that has not moved has no ATR; one basis point of the price is then the unit.
    scale = known.atr or (close * 1e-4 if close else None)

    def in_atr(value: float | None, less: float | None = 0.0) -> float | None:
        return None if value is None or less is None or scale is None else (value - less) / scale

    bb_position = bb_width = None
    if known.bb_upper is not None and known.bb_middle is not None and known.bb_lower is not None:
        half = (known.bb_upper - known.bb_lower) / 2.0
        bb_width = 200.0 * half / known.bb_middle
        if close is not None:
            bb_position = (close - known.bb_middle) / half if half > 0.0 else 0.0
    values = (
        log_return(1),
        log_return(3),
        log_return(6),
        log_return(12),
        None if known.rsi is None else (known.rsi - 50.0) / 50.0,
        in_atr(known.macd),
        in_atr(known.macd_signal),
        in_atr(known.macd_histogram),
        bb_position,
        bb_width,
        in_atr(close, known.ema_20),
        in_atr(close, known.ema_50),
        in_atr(known.ema_20, known.ema_50),
        None if known.atr is None or close is None else 100.0 * known.atr / close,
        None if known.volatility is None else 100.0 * known.volatility,
        session_progress,
    )
    limited = [
        0.0 if v is None else v if -FEATURE_LIMIT <= v <= FEATURE_LIMIT else math.copysign(FEATURE_LIMIT, v)
        for v in values
    ]
    return np.array(limited, dtype=np.float32)
