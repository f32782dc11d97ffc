"""Signals that are asked for: what a request puts in the place of stored bars and their indicators."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from time import perf_counter

from ...domain.bars import HIGHEST_PRICE, Bar, price_problem
from ...domain.errors import FieldViolation, InvalidRequest, NotEnoughBars
from ...domain.indicators import WARM_BARS, Indicators, indicators_of
from ...domain.signals import Origin
from ...domain.window import Window
from .sessions import SymbolState
from .trader import Sight

LOOKBACK_MINIMUM = 50
LOOKBACK_MAXIMUM = 500

_PRICES = ("close_price", "open_price", "high_price", "low_price", "bb_upper", "bb_lower", "ema_20", "ema_50", "atr")


@dataclass(frozen=True, slots=True)
class Quote:
    """A price to decide at, and whatever else the caller knows better than the stored bars; None is not known.

    Prices are in quote currency, finite and > 0; `rsi` is 0..100; `volume` >= 0.

    Raises:
        InvalidRequest: on construction, naming every field that breaks a rule.
    """

    close_price: float
    open_price: float | None = None
    high_price: float | None = None
    low_price: float | None = None
    volume: float | None = None
    rsi: float | None = None
    macd: float | None = None
    macd_signal: float | None = None
    bb_upper: float | None = None
    bb_lower: float | None = None
    ema_20: float | None = None
    ema_50: float | None = None
    atr: float | None = None

    def __post_init__(self) -> None:
        violations = self._violations()
        if violations:
            raise InvalidRequest(violations)

    @property
    def prices(self) -> tuple[float, float, float, float]:
        """Open, high, low and close of the bar in the making."""
        close = self.close_price
        start = self.open_price or close
        return start, self.high_price or max(start, close), self.low_price or min(start, close), close

    def overriding(self, found: Indicators) -> Indicators:
        """The indicators `found` from bars, with the caller's own in their place."""
        macd = found.macd if self.macd is None else self.macd
        macd_signal = found.macd_signal if self.macd_signal is None else self.macd_signal
        upper = found.bb_upper if self.bb_upper is None else self.bb_upper
        lower = found.bb_lower if self.bb_lower is None else self.bb_lower
        given_macd = self.macd is not None or self.macd_signal is not None
        given_bands = self.bb_upper is not None or self.bb_lower is not None
        return replace(
            found,
            rsi=found.rsi if self.rsi is None else self.rsi,
            macd=macd,
            macd_signal=macd_signal,
            macd_histogram=_difference(macd, macd_signal) if given_macd else found.macd_histogram,
            bb_upper=upper,
            bb_lower=lower,
            bb_middle=_mean(upper, lower) if given_bands else found.bb_middle,
            ema_20=found.ema_20 if self.ema_20 is None else self.ema_20,
            ema_50=found.ema_50 if self.ema_50 is None else self.ema_50,
            atr=found.atr if self.atr is None else self.atr,
        )

    def _violations(self) -> list[FieldViolation]:
        found: list[FieldViolation] = []
        for name in (*_PRICES, "volume", "rsi", "macd", "macd_signal"):
            value: float | None = getattr(self, name)
            if value is None:
                continue
            if name in _PRICES:
                if (problem := price_problem(value)) is not None:
                    found.append(FieldViolation(name, problem))
            elif not math.isfinite(value) or abs(value) > HIGHEST_PRICE:
                found.append(FieldViolation(name, f"must be finite, and at most {HIGHEST_PRICE:g} away from 0"))
            elif name == "volume" and value < 0.0:
                found.append(FieldViolation(name, "must not be negative"))
            elif name == "rsi" and not 0.0 <= value <= 100.0:
                found.append(FieldViolation(name, "must lie between 0 and 100"))
        if not found:
            start, high, low, close = self.prices
            if high < max(start, close):
                found.append(FieldViolation("high_price", "must not be below open_price or close_price"))
            if low > min(start, close):
                found.append(FieldViolation("low_price", "must not be above open_price or close_price"))
            if self.bb_upper is not None and self.bb_lower is not None and self.bb_lower > self.bb_upper:
                found.append(FieldViolation("bb_lower", "must not be above bb_upper"))
        return found


def sight_of_quote(state: SymbolState, quote: Quote, now: datetime) -> Sight:
    """What a decision at `quote` looks at: the stored bars with the quote as a bar still in the making."""
    started = perf_counter()
    window = state.window.with_unfinished(quote.prices)
    return Sight(
        symbol=state.symbol,
        timestamp=now,
        origin=Origin.REQUEST,
        window=window,
        indicators=quote.overriding(indicators_of(window)),
        price=quote.close_price,
        session_progress=_progress(state, window),
        session_day=None,
        simulated=state.simulated_left > 0,
        opens=True,
        started=started,
    )


def sight_of_window(state: SymbolState, lookback_bars: int, now: datetime) -> Sight:
    """What a decision from the newest `lookback_bars` bars of the state's window looks at.

    Raises:
        NotEnoughBars: there are fewer than the slowest indicator needs.
    """
    return _sight_back(state, state.window.newest(lookback_bars), now, simulated=state.simulated_within(lookback_bars))


def sight_of_bars(state: SymbolState, bars: Sequence[Bar], now: datetime) -> Sight:
    """What a decision from stored bars looks at.

    Raises:
        NotEnoughBars: there are fewer than the slowest indicator needs.
    """
    return _sight_back(state, Window.of(bars), now, simulated=any(bar.simulated for bar in bars))


def _sight_back(state: SymbolState, window: Window, now: datetime, *, simulated: bool) -> Sight:
    started = perf_counter()
    if len(window) < WARM_BARS:
        raise NotEnoughBars(state.symbol, WARM_BARS, len(window))
    return Sight(
        symbol=state.symbol,
        timestamp=now,
        origin=Origin.DATABASE,
        window=window,
        indicators=indicators_of(window),
        price=float(window.close[-1]),
        session_progress=_progress(state, window),
        session_day=None,
        simulated=simulated,
        opens=True,
        started=started,
    )


def _progress(state: SymbolState, window: Window) -> float:
    return 0.0 if window.time is None else state.calendar.progress(window.time)


def _difference(left: float | None, right: float | None) -> float | None:
    return None if left is None or right is None else left - right


def _mean(left: float | None, right: float | None) -> float | None:
    return None if left is None or right is None else (left + right) / 2.0
