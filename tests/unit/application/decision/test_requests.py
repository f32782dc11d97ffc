"""Inputs of requested signals: values of the caller replace those of the stored bars."""

from __future__ import annotations

import math
from dataclasses import replace
from uuid import UUID

import pytest
from tests.support.builders import NOW, walk

from tradingsignals_server.application.decision.quotes import Quote, input_of_bars, input_of_quote
from tradingsignals_server.application.decision.symbol_state import SymbolState
from tradingsignals_server.domain.calendar import BogotaCalendar
from tradingsignals_server.domain.errors import InvalidRequest, NotEnoughBars
from tradingsignals_server.domain.indicators import Indicators, indicators_of
from tradingsignals_server.domain.risk import RiskRules
from tradingsignals_server.domain.signals import Origin
from tradingsignals_server.domain.window import Window

NAME = UUID(int=5)
CALENDAR = BogotaCalendar()
WALK = walk(110)
PRICES = ["close_price", "open_price", "high_price", "low_price", "bb_upper", "bb_lower", "ema_20", "ema_50", "atr"]


def state_after(bars: int) -> SymbolState:
    state = SymbolState("USDCOP", CALENDAR, Window.empty())
    for one in WALK[:bars]:
        state = state.with_session_bar(one, CALENDAR.session_of(one.time))
    return state


def refused(**given: float) -> set[str]:
    """Return the fields for which a quote is refused."""
    with pytest.raises(InvalidRequest) as caught:
        Quote(**{"close_price": 100.0, **given})
    return {violation.field for violation in caught.value.violations}


@pytest.mark.parametrize("name", PRICES)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 0.0, -1.0])
def test_value_that_is_not_a_price_is_refused(name: str, value: float) -> None:
    assert refused(**{name: value}) == {name}


@pytest.mark.parametrize(
    ("given", "fields"),
    [
        ({"volume": -1.0}, {"volume"}),
        ({"volume": math.inf}, {"volume"}),
        ({"rsi": -0.1}, {"rsi"}),
        ({"rsi": 100.1}, {"rsi"}),
        ({"rsi": math.nan}, {"rsi"}),
        ({"macd": math.nan}, {"macd"}),
        ({"macd_signal": -math.inf}, {"macd_signal"}),
        ({"high_price": 99.9}, {"high_price"}),
        ({"open_price": 101.0, "high_price": 100.5}, {"high_price"}),
        ({"low_price": 100.1}, {"low_price"}),
        ({"open_price": 99.0, "low_price": 99.5}, {"low_price"}),
        ({"high_price": 99.0, "low_price": 101.0}, {"high_price", "low_price"}),
        ({"bb_upper": 99.0, "bb_lower": 100.0}, {"bb_lower"}),
        ({"rsi": 200.0, "atr": -1.0}, {"rsi", "atr"}),
    ],
)
def test_inconsistent_values_are_refused(given: dict[str, float], fields: set[str]) -> None:
    assert refused(**given) == fields


@pytest.mark.parametrize("given", [{"rsi": 0.0}, {"rsi": 100.0}, {"volume": 0.0}, {"macd": -5.0}, {"macd_signal": 0.0}])
def test_bounds_are_allowed(given: dict[str, float]) -> None:
    assert Quote(100.0, **given)


@pytest.mark.parametrize(
    ("quote", "prices"),
    [
        (Quote(100.0), (100.0, 100.0, 100.0, 100.0)),
        (Quote(100.0, open_price=98.0), (98.0, 100.0, 98.0, 100.0)),
        (Quote(100.0, open_price=101.0), (101.0, 101.0, 100.0, 100.0)),
        (Quote(100.0, high_price=103.0), (100.0, 103.0, 100.0, 100.0)),
        (Quote(100.0, low_price=97.0), (100.0, 100.0, 97.0, 100.0)),
        (Quote(100.0, 101.0, 103.0, 97.0), (101.0, 103.0, 97.0, 100.0)),
    ],
)
def test_missing_prices_are_derived_from_the_close(quote: Quote, prices: tuple[float, ...]) -> None:
    assert quote.bar == (*prices, 0.0)
    assert replace(quote, volume=3.0).bar == (*prices, 3.0)


FOUND = Indicators(
    rsi=1.0,
    macd=2.0,
    macd_signal=3.0,
    macd_histogram=-1.5,
    macd_histogram_before=-2.5,
    bb_upper=6.0,
    bb_middle=5.5,
    bb_lower=4.0,
    ema_20=7.0,
    ema_50=8.0,
    atr=9.0,
    volatility=0.1,
    window_volatility=0.2,
)


@pytest.mark.parametrize(
    ("given", "changed"),
    [
        ({}, {}),
        ({"rsi": 0.0}, {"rsi": 0.0}),
        ({"ema_20": 70.0}, {"ema_20": 70.0}),
        ({"ema_50": 80.0}, {"ema_50": 80.0}),
        ({"atr": 90.0}, {"atr": 90.0}),
        ({"macd": 0.0}, {"macd": 0.0, "macd_histogram": -3.0}),
        ({"macd_signal": 0.0}, {"macd_signal": 0.0, "macd_histogram": 2.0}),
        ({"macd": -2.3, "macd_signal": -1.8}, {"macd": -2.3, "macd_signal": -1.8, "macd_histogram": -2.3 - -1.8}),
        ({"bb_upper": 8.0}, {"bb_upper": 8.0, "bb_middle": 6.0}),
        ({"bb_lower": 1.0}, {"bb_lower": 1.0, "bb_middle": 3.5}),
    ],
)
def test_indicators_of_the_caller_replace_those_of_the_bars(given: dict[str, float], changed: dict[str, float]) -> None:
    assert Quote(100.0, **given).overriding(FOUND) == changed


def test_without_bars_missing_indicators_stay_unknown() -> None:
    known = replace(Indicators(), **Quote(100.0, macd=1.0, bb_upper=110.0).overriding(Indicators()))
    assert known == Indicators(macd=1.0, bb_upper=110.0)


@pytest.mark.parametrize("bars", [0, 1, 30, 99, 100, 110])
def test_quote_is_an_unfinished_bar_after_the_stored_ones(bars: int) -> None:
    state, quote = state_after(bars), Quote(4000.0, 4001.0, 4003.0, 3997.0)
    found = input_of_quote(state, quote, NOW, RiskRules())
    assert len(found.window) == min(100, bars + 1)
    assert found.window.rows[:5, -1].tolist() == [4001.0, 4003.0, 3997.0, 4000.0, 0.0]
    assert found.indicators == indicators_of(found.window)
    assert (found.timestamp, found.origin, found.price) == (NOW, Origin.REQUEST, 4000.0)
    assert found.window.time == (WALK[bars - 1].time if bars else None)
    assert found.session_progress == (CALENDAR.progress(WALK[bars - 1].time) if bars else 0.0)
    assert not found.simulated_within(100)


def test_quote_after_simulated_bars_is_simulated() -> None:
    state = replace(state_after(60), simulated_left=10)
    assert input_of_quote(state, Quote(4000.0), NOW, RiskRules()).simulated_within(100)


@pytest.mark.parametrize("bars", [50, 75, 110])
def test_input_from_stored_bars_is_that_of_their_window(bars: int) -> None:
    found = input_of_bars(state_after(60), WALK[:bars], 300, NOW, RiskRules())
    assert found.window.rows.tobytes() == Window.of(WALK[:bars]).rows.tobytes()
    assert found.indicators == indicators_of(Window.of(WALK[:bars]))
    assert (found.price, found.origin, found.timestamp) == (WALK[bars - 1].close, Origin.DATABASE, NOW)
    assert found.session_progress == CALENDAR.progress(WALK[bars - 1].time)
    assert not found.simulated_within(100)
    mixed = [*WALK[: bars - 1], replace(WALK[bars - 1], simulated=True)]
    assert input_of_bars(state_after(60), mixed, 300, NOW, RiskRules()).simulated_within(bars)


@pytest.mark.parametrize("bars", [0, 1, 49])
def test_too_few_stored_bars_are_refused(bars: int) -> None:
    with pytest.raises(NotEnoughBars) as caught:
        input_of_bars(state_after(60), WALK[:bars], 300, NOW, RiskRules())
    assert caught.value.metadata == {"symbol": "USDCOP", "bars_needed": "50", "bars_stored": str(bars)}
