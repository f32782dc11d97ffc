"""Requested signals: the inputs from a quote and from stored bars."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from time import perf_counter

from ...domain.bars import HIGHEST_PRICE, Bar, price_problem
from ...domain.calendar import SessionCalendar
from ...domain.errors import FieldViolation, InvalidRequest, NotEnoughBars
from ...domain.indicators import WARM_BARS, Indicators, indicators_of
from ...domain.risk import RiskRules
from ...domain.signals import Origin
from ...domain.values import dataclass
from ...domain.window import LOOKBACK_BARS, Quoted, Window
from .inputs import DecisionInput
from .symbol_state import SymbolState
from .trader import duration_text

LOOKBACK_MINIMUM = 50
LOOKBACK_MAXIMUM = 500

NO_MARKET_YET = "No bar of this replayed or simulated market has come yet: no position is opened or closed"

_BAR_PRICES = ("close_price", "open_price", "high_price", "low_price")
_PRICES = (*_BAR_PRICES, "bb_upper", "bb_lower", "ema_20", "ema_50", "atr")
_FIELDS = (*_BAR_PRICES, "volume", "rsi", "macd", "macd_signal", "bb_upper", "bb_lower", "ema_20", "ema_50", "atr")
_INDICATORS = ("rsi", "macd", "macd_signal", "bb_upper", "bb_lower", "ema_20", "ema_50", "atr")


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
    def bar(self) -> Quoted:
        """Open, high, low, close and volume of the bar in the making; a volume that is not given is 0."""
        close = self.close_price
        start = self.open_price or close
        high, low = self.high_price or max(start, close), self.low_price or min(start, close)
        return start, high, low, close, self.volume or 0.0

    @property
    def given(self) -> dict[str, float]:
        """All values that were given, by the name of their field."""
        return {name: value for name in _FIELDS if (value := getattr(self, name)) is not None}

    @property
    def given_prices(self) -> dict[str, float]:
        """The prices of the bar in the making that were given, by the name of their field."""
        return {name: price for name in _BAR_PRICES if (price := getattr(self, name)) is not None}

    def overriding(self, found: Indicators) -> Mapping[str, float | None]:
        """The caller's own indicators, and what follows from them and those `found` from bars, by their name.

        Raises:
            InvalidRequest: a band that is given lies on the wrong side of the other one, which is from the bars.
        """
        given: dict[str, float | None] = {
            name: value for name in _INDICATORS if (value := getattr(self, name)) is not None
        }
        upper, lower = given.get("bb_upper", found.bb_upper), given.get("bb_lower", found.bb_lower)
        if upper is not None and lower is not None and lower > upper:
            name, side, other = ("bb_upper", "below", lower) if self.bb_lower is None else ("bb_lower", "above", upper)
            raise InvalidRequest.field(name, f"is {side} the other band of the stored bars, {other:g}; give both")
        if self.macd is not None or self.macd_signal is not None:
            macd, signal = given.get("macd", found.macd), given.get("macd_signal", found.macd_signal)
            given["macd_histogram"] = None if macd is None or signal is None else macd - signal
        if self.bb_upper is not None or self.bb_lower is not None:
            given["bb_middle"] = None if upper is None or lower is None else (upper + lower) / 2.0
        return given

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
            start, high, low, close, _ = self.bar
            if high < max(start, close):
                found.append(FieldViolation("high_price", "must not be below open_price or close_price"))
            if low > min(start, close):
                found.append(FieldViolation("low_price", "must not be above open_price or close_price"))
            if self.bb_upper is not None and self.bb_lower is not None and self.bb_lower > self.bb_upper:
                found.append(FieldViolation("bb_lower", "must not be above bb_upper"))
        return found


def input_of_quote(
    state: SymbolState, quote: Quote, now: datetime, rules: RiskRules, *, replayed: bool = False
) -> DecisionInput:
    """Compute the input at `quote`: the stored bars, with the quote as a bar that is not complete yet.

    Without a stored bar it rests on the quote alone, which is then as old as `now`. If the feed has not delivered a bar
    yet (`replayed`), `now` is not a time of its market, so the decision does not trade.

    Raises:
        PriceJump: a price of the quote is too far from the last one known.
        InvalidRequest: a band that is given lies on the wrong side of the other one, found from the stored bars.
    """
    started = perf_counter()
    state.refuse_jump(quote.given_prices, rules.max_price_jump)
    window = state.window.with_unfinished(quote.bar, state.calendar.interval)
    recent = window.newest(LOOKBACK_BARS)
    indicators = indicators_of(recent)
    given = quote.overriding(indicators)
    awaits_market = replayed and state.last_bar is None
    return DecisionInput(
        symbol=state.symbol,
        timestamp=now,
        origin=Origin.REQUEST,
        window=window,
        indicators=replace(indicators, **given) if given else indicators,
        indicator_bars=len(recent),
        calendar=state.calendar,
        price=quote.close_price,
        session_progress=_progress(state, window),
        session_day=state.calendar.closing_session_of(now),
        newest_simulated=state.newest_simulated,
        no_trade_reason=NO_MARKET_YET if awaits_market else _no_trade_reason(state, window, now, rules),
        ms=(perf_counter() - started) * 1e3,
        given=given,
        quoted=quote.given,
        awaits_market=awaits_market,
    )


def input_of_window(
    state: SymbolState, lookback_bars: int, now: datetime, rules: RiskRules, *, warm_bars: int = WARM_BARS
) -> DecisionInput:
    """Compute the input from the newest `lookback_bars` bars of the state's window.

    The indicators are those of these bars. The features rest on them too if they are fewer than LOOKBACK_BARS, else on
    as many bars as for a live signal.

    Raises:
        NotEnoughBars: there are fewer than the slowest indicator needs, or than `warm_bars`.
    """
    window = state.window if lookback_bars >= LOOKBACK_BARS else state.window.newest(lookback_bars)
    return _input_of_stored(state, window, lookback_bars, now, rules, warm_bars, state.newest_simulated)


def input_of_bars(
    state: SymbolState,
    bars: Sequence[Bar],
    lookback_bars: int,
    now: datetime,
    rules: RiskRules,
    *,
    warm_bars: int = WARM_BARS,
) -> DecisionInput:
    """Compute the input from stored bars, as `input_of_window` from those of a state.

    Args:
        state: of the symbol.
        bars: oldest first; those before the newest `lookback_bars` are used by the features alone.
        lookback_bars: number of bars of the indicators.
        now: market time.
        rules: of the live policy.
        warm_bars: number of bars that the features need.

    Raises:
        NotEnoughBars: there are fewer than the slowest indicator needs, or than `warm_bars`.
    """
    if lookback_bars < LOOKBACK_BARS:
        bars = bars[-lookback_bars:]
    newest_simulated = next((number for number, bar in enumerate(reversed(bars), 1) if bar.simulated), 0)
    return _input_of_stored(state, Window.of(bars), lookback_bars, now, rules, warm_bars, newest_simulated)


def _input_of_stored(
    state: SymbolState,
    window: Window,
    lookback_bars: int,
    now: datetime,
    rules: RiskRules,
    warm_bars: int,
    newest_simulated: int,
) -> DecisionInput:
    started = perf_counter()
    if len(window) < warm_bars:
        raise NotEnoughBars(state.symbol, warm_bars, len(window))
    recent = window.newest(lookback_bars)
    if window.time is not None:
        now = max(now, window.time + state.calendar.interval)
    return DecisionInput(
        symbol=state.symbol,
        timestamp=now,
        origin=Origin.DATABASE,
        window=window,
        indicators=indicators_of(recent),
        indicator_bars=len(recent),
        calendar=state.calendar,
        price=float(window.close[-1]),
        session_progress=_progress(state, window),
        session_day=state.calendar.closing_session_of(now),
        newest_simulated=newest_simulated if newest_simulated <= len(window) else 0,
        no_trade_reason=_no_trade_reason(state, window, now, rules),
        ms=(perf_counter() - started) * 1e3,
    )


def _progress(state: SymbolState, window: Window) -> float:
    return 0.0 if window.time is None else state.calendar.progress(window.time)


def _no_trade_reason(state: SymbolState, window: Window, now: datetime, rules: RiskRules) -> str | None:
    """Say in a sentence why a decision at `now` on the bars of `window` does not trade; None if it may."""
    return session_reason(state.calendar, now) or age_reason(state.calendar, window.time, now, rules)


def session_reason(calendar: SessionCalendar, now: datetime) -> str | None:
    """Say that `now` lies outside the sessions; None if it does not."""
    if calendar.session_of(now) is None:
        return "Outside the trading session: no position is opened or closed"
    return None


def age_reason(calendar: SessionCalendar, newest: datetime | None, now: datetime, rules: RiskRules) -> str | None:
    """Say that the bars are too old at `now` for a trade; None if they are not.

    The age that counts is trading time: over a night or a weekend bars do not age.

    Args:
        calendar: of the symbol.
        newest: open of the newest bar, None if there is none.
        now: time of the decision.
        rules: those in force.
    """
    limit = rules.max_bar_age_of(calendar.interval)
    if not limit or newest is None:
        return None
    closed = newest + calendar.interval
    if now - closed <= limit or calendar.trading_time(closed, now, enough=limit) <= limit:
        return None
    return f"The bars are older than {duration_text(limit)} of trading: no position is opened or closed"
