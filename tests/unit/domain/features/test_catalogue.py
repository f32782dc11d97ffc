"""Every kind of the catalogue: its value, warm-up, bounds and neutral value, on any market."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.builders import walk
from tests.support.feature_formulas import FORMULAS, Bars

from tradingsignals_server.domain.bars import HIGHEST_PRICE, LOWEST_PRICE, Bar
from tradingsignals_server.domain.calendar import calendar_for
from tradingsignals_server.domain.features import CatalogueFeatures, FeatureContext, HeldPosition
from tradingsignals_server.domain.features.catalogue import CATALOGUE, GROUPS
from tradingsignals_server.domain.features.expression import Feature, parse
from tradingsignals_server.domain.window import Window

CALENDAR = calendar_for("USDCOP")
DEFAULTS = [Feature(kind) for kind in CATALOGUE.values()]
OTHERS = [
    *map(parse, ("return(7)", "momentum(3)", "rsi(9)", "rsi(30)", "macd(5,35,4)", "macd_signal(5,35,4)")),
    *map(parse, ("macd_histogram(6,13,5)", "stochastic_k(5,1)", "stochastic_d(9,2,4)", "adx(7)", "plus_di(5)")),
    *map(parse, ("ema_gap(7)", "ema_gap(50)", "ema_spread(5,12)", "sma_spread(3,30)", "atr_pct(5)", "atr(30)")),
    *map(parse, ("volatility(5)", "bb_position(10,1.5)", "bb_width(30,3)", "keltner_position(14,1)", "trix(5)")),
    *map(parse, ("volatility_ratio(5,20)", "cci(5)", "aroon(7)", "kama_gap(20)", "mfi(5)", "obv(1)", "slope(5)")),
]
OF_BARS = [feature for feature in (*DEFAULTS, *OTHERS) if feature.kind.name in FORMULAS]
HELD = HeldPosition(side=-1, pnl_pct=0.25, pnl_r=0.5, bars_held=7)


def market(bars: int, seed: int = 1) -> list[Bar]:
    """Return a walk with volumes."""
    random = np.random.default_rng(seed)
    return [replace(one, volume=float(random.uniform(1.0, 900.0))) for one in walk(bars, seed=seed)]


def context(bars: Sequence[Bar], held: HeldPosition | None = None) -> FeatureContext:
    return FeatureContext(Window.of(bars), CALENDAR, CALENDAR.progress(bars[-1].time), position=held)


def arrays(bars: Sequence[Bar]) -> Bars:
    rows = np.array([(one.open, one.high, one.low, one.close, one.volume) for one in bars]).T
    return Bars(*rows)


def test_every_kind_has_a_formula_in_this_test_or_a_test_of_its_own() -> None:
    others = {kind.name for group in GROUPS if group.title in {"Time and session", "Position"} for kind in group.kinds}
    assert CATALOGUE.keys() == FORMULAS.keys() | others


@pytest.mark.parametrize("feature", OF_BARS, ids=str)
@pytest.mark.parametrize("seed", [1, 2])
def test_value_is_that_of_the_formula(feature: Feature, seed: int) -> None:
    bars = market(100, seed)
    expected = FORMULAS[feature.kind.name](arrays(bars), *feature.parameters)
    assert feature.value(context(bars)) == pytest.approx(expected, rel=1e-7, abs=1e-9)


@pytest.mark.untraced
@pytest.mark.parametrize("feature", [*DEFAULTS, *OTHERS], ids=str)
def test_value_is_defined_from_its_warm_up_on(feature: Feature) -> None:
    for seed in (1, 2, 3):
        bars = market(feature.warm_bars + 5, seed)
        for count in range(1, len(bars) + 1):
            defined = feature.value(context(bars[:count], HELD)) is not None
            assert defined == (count >= feature.warm_bars), count


@pytest.mark.untraced
@pytest.mark.parametrize("feature", [*DEFAULTS, *OTHERS], ids=str)
def test_value_depends_only_on_the_bars_of_the_window(feature: Feature) -> None:
    bars = market(140)
    known = feature.value(context(bars[40:], HELD))
    assert feature.value(context(market(140)[40:], HELD)) == known
    whole = Window.empty(100)
    for one in bars:
        whole = whole.append(one)
    again = FeatureContext(whole, CALENDAR, CALENDAR.progress(bars[-1].time), position=HELD)
    assert feature.value(again) == known


def test_time_of_day_and_week_lie_on_circles() -> None:
    monday = datetime(2024, 3, 4, tzinfo=UTC)
    for hours, day in ((0, 0), (6, 0), (13, 2), (23, 6)):
        time = monday + timedelta(days=day, hours=hours)
        seen = FeatureContext(Window.of([Bar("EURUSD", time, 1, 1, 1, 1)]), calendar_for("EURUSD"), 0.0)
        for name, angle in (("hour", hours / 24), ("weekday", day / 7)):
            values = [parse(f"{name}_{side}").value(seen) for side in ("sin", "cos")]
            assert values == pytest.approx([math.sin(2 * math.pi * angle), math.cos(2 * math.pi * angle)])


def test_bars_of_the_session_are_counted_by_the_calendar() -> None:
    bars = walk(75)
    features = [parse(name) for name in ("bars_since_session_start", "bars_to_session_end", "session_progress")]
    for number, one in enumerate(bars):
        found = [feature.value(context([one])) for feature in features]
        assert found == [number % 60, 59 - number % 60, number % 60 / 60]


def test_features_of_the_position_are_neutral_without_one() -> None:
    names = ("position_side", "position_pnl_pct", "position_pnl_r", "bars_held")
    features = CatalogueFeatures("p", [parse(name) for name in names])
    assert features.uses_position
    assert features.observe(context(walk(3), HELD)).tolist() == [-1.0, 0.25, 0.5, 7.0]
    assert features.observe(context(walk(3))).tolist() == [0.0] * 4


prices = st.sampled_from([LOWEST_PRICE, HIGHEST_PRICE, 1.0]) | st.floats(LOWEST_PRICE, HIGHEST_PRICE)
volumes = st.sampled_from([0.0, 1e308, 5e-324]) | st.floats(0.0, 1e12)
ALL = CatalogueFeatures("all", DEFAULTS, limit=10.0)
UNLIMITED = CatalogueFeatures("all", DEFAULTS, limit=None)


@given(st.lists(st.tuples(prices, prices, volumes), min_size=1, max_size=70), st.booleans())
def test_values_are_finite_and_within_their_bounds_on_any_market(
    rows: list[tuple[float, float, float]], is_held: bool
) -> None:
    first = datetime(2024, 3, 4, 13, tzinfo=UTC)
    bars = [
        Bar("EURUSD", first + timedelta(minutes=5 * i), a, max(a, b), min(a, b), b, volume)
        for i, (a, b, volume) in enumerate(rows)
    ]
    seen = FeatureContext(Window.of(bars), calendar_for("EURUSD"), 0.5, position=HELD if is_held else None)
    for feature in DEFAULTS:
        if (value := feature.value(seen)) is not None and math.isfinite(value):
            assert feature.kind.lowest <= value <= feature.kind.highest, feature
    for features in (ALL, UNLIMITED):
        observation = features.observe(seen)
        assert observation.shape == (len(CATALOGUE),)
        assert np.isfinite(observation).all()
    limited = [not feature.kind.raw for feature in DEFAULTS]
    assert (np.abs(ALL.observe(seen)[limited]) <= 10.0).all()


@pytest.mark.parametrize("price", [LOWEST_PRICE, 4000.0, HIGHEST_PRICE])
def test_market_that_does_not_move_gives_neutral_values(price: float) -> None:
    bars = [replace(one, open=price, high=price, low=price, close=price, volume=0.0) for one in walk(100)]
    found = dict(zip(CATALOGUE, UNLIMITED.observe(context(bars)).tolist(), strict=True))
    groups = [group for group in GROUPS if group.title in {"Time and session", "Raw values"}]
    timely = {kind.name for group in groups for kind in group.kinds}
    for kind in CATALOGUE.values():
        if kind.name not in {*timely, "up_ratio"}:
            assert found[kind.name] == pytest.approx(kind.neutral, abs=1e-6), kind.name


def test_declarations_are_complete() -> None:
    for kind in CATALOGUE.values():
        assert kind.meaning, kind.name
        assert kind.formula, kind.name
        assert kind.unit, kind.name
        assert not kind.meaning.endswith("."), kind.name
        assert kind.lowest <= kind.neutral <= kind.highest, kind.name
        assert len(kind.name) <= 30
