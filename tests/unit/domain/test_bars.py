"""Bars: validity by construction, violations for invalid fields, spacings."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.builders import OPENING, bar

from tradingsignals_server.domain.bars import (
    EARLIEST_TIME,
    HIGHEST_PRICE,
    LOWEST_PRICE,
    Bar,
    describe_spacing,
    foreign_spacing,
    is_jump,
    price_problem,
    require_closed,
    require_interval,
    spacing_problem,
)
from tradingsignals_server.domain.errors import InvalidBar
from tradingsignals_server.domain.intervals import DEFAULT_INTERVAL, INTERVALS

PRICES = ("open", "high", "low", "close")
FIELDS = (*PRICES, "volume", "time")

ODD_NUMBERS = [math.nan, math.inf, -math.inf, -1.0, -0.0, 0.0, 5e-324, 1.0, 2.0, 3.0]
numbers = st.sampled_from(ODD_NUMBERS) | st.floats()
zones = st.sampled_from([UTC, None, timezone(timedelta(hours=-5)), timezone(timedelta(0), "GMT")])
on_grid = st.integers(0, 600_000).map(lambda steps: EARLIEST_TIME - timedelta(days=1000) + steps * DEFAULT_INTERVAL)
off_grid = st.datetimes()
times = st.builds(lambda time, zone: time.replace(tzinfo=zone), on_grid | off_grid, zones)


def is_valid(one: Bar) -> bool:
    """Return whether a bar meets every rule of its class, checked one by one."""
    prices = (one.open, one.high, one.low, one.close)
    return (
        all(math.isfinite(price) and price > 0 for price in prices)
        and one.low == min(prices)
        and one.high == max(prices)
        and math.isfinite(one.volume)
        and one.volume >= 0
        and one.time.utcoffset() == timedelta(0)
        and one.time >= EARLIEST_TIME
        and one.time.timestamp() % 300 == 0
    )


@given(times, st.tuples(numbers, numbers, numbers, numbers), numbers)
def test_bar_is_valid_or_its_construction_raises(
    time: datetime, prices: tuple[float, float, float, float], volume: float
) -> None:
    try:
        made = Bar("USDCOP", time, *prices, volume)
    except InvalidBar as refusal:
        violations = refusal.violations
    else:
        assert is_valid(made)
        return
    assert violations
    assert {violation.field for violation in violations} <= set(FIELDS)
    assert all(violation.description for violation in violations)


@given(st.data())
def test_every_valid_bar_is_accepted(data: st.DataObject) -> None:
    price = st.floats(0.01, 1e6)
    low, first, last, high = sorted(data.draw(price) for _ in range(4))
    open_, close = data.draw(st.permutations([first, last]))
    time = EARLIEST_TIME + data.draw(st.integers(0, 5_000_000)) * DEFAULT_INTERVAL
    made = Bar("USDCOP", time, open_, high, low, close, data.draw(st.floats(0, 1e9)))
    assert is_valid(made)
    assert made.close_time - made.time == DEFAULT_INTERVAL


VALID = {"open": 2.0, "high": 4.0, "low": 1.0, "close": 3.0, "volume": 0.0, "time": OPENING}


@pytest.mark.parametrize("price", PRICES)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 0.0, -0.0, -1.0])
def test_invalid_price_is_refused_with_its_field(price: str, value: float) -> None:
    assert price in refused(**{price: value})


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ({"high": 0.5}, {"high"}),
        ({"high": 2.5}, {"close"}),
        ({"low": 2.5}, {"open"}),
        ({"open": 4.5}, {"open"}),
        ({"open": 0.5}, {"open"}),
        ({"close": 4.5}, {"close"}),
        ({"close": 0.5}, {"close"}),
        ({"open": 5.0, "close": 0.5}, {"open", "close"}),
        ({"volume": math.nan}, {"volume"}),
        ({"volume": math.inf}, {"volume"}),
        ({"volume": -1.0}, {"volume"}),
        ({"time": OPENING.replace(tzinfo=None)}, {"time"}),
        ({"time": OPENING.astimezone(timezone(timedelta(hours=-5)))}, {"time"}),
        ({"time": OPENING + timedelta(minutes=1)}, {"time"}),
        ({"time": OPENING + timedelta(seconds=1)}, {"time"}),
        ({"time": OPENING + timedelta(microseconds=1)}, {"time"}),
        ({"time": EARLIEST_TIME - DEFAULT_INTERVAL}, {"time"}),
        ({"time": datetime(9999, 12, 31, 23, 55, tzinfo=UTC)}, {"time"}),
        ({"volume": -1.0, "open": -1.0, "time": OPENING.replace(tzinfo=None)}, {"volume", "open", "time"}),
        ({"high": 0.5, "time": OPENING + timedelta(minutes=1)}, {"high", "time"}),
    ],
)
def test_every_invalid_field_has_a_violation(change: dict[str, object], fields: set[str]) -> None:
    assert refused(**change) == fields


def refused(**change: object) -> set[str]:
    """Construct a valid bar with `change` applied, and return the fields of the violations."""
    with pytest.raises(InvalidBar) as caught:
        Bar("USDCOP", **{**VALID, **change})  # type: ignore[arg-type]  # invalid on purpose
    assert caught.value.metadata["symbol"] == "USDCOP"
    return {violation.field for violation in caught.value.violations}


def test_bar_at_the_earliest_time_is_accepted() -> None:
    assert bar(EARLIEST_TIME).time == EARLIEST_TIME


def test_bars_agree_regardless_of_their_source() -> None:
    assert bar(0).agrees_with(bar(0, simulated=True))


@pytest.mark.parametrize(
    "other",
    [
        bar(0, symbol="EURUSD"),
        bar(1),
        bar(0, 100.5),
        bar(0, high=100.5),
        bar(0, low=99.5),
        bar(0, close=100.5),
        Bar("USDCOP", OPENING, 100.0, 100.0, 100.0, 100.0, volume=1.0),
        bar(0, high=100.5, close=100.5),
    ],
)
def test_bars_that_differ_in_a_field_do_not_agree(other: Bar) -> None:
    assert not bar(0).agrees_with(other)


def test_under_puts_the_path_before_each_field() -> None:
    with pytest.raises(InvalidBar) as caught:
        bar(0, -1.0)
    moved = caught.value.under("bars[3]")
    assert {violation.field for violation in moved.violations} == {f"bars[3].{name}" for name in PRICES}
    assert moved.metadata == caught.value.metadata


def test_require_closed_refuses_a_bar_until_it_has_ended() -> None:
    one, tolerance = bar(0), timedelta(seconds=5)
    require_closed(one, one.close_time)
    require_closed(one, one.close_time - tolerance)
    with pytest.raises(InvalidBar) as caught:
        require_closed(one, one.close_time - tolerance - timedelta(microseconds=1))
    assert [violation.field for violation in caught.value.violations] == ["time"]
    with pytest.raises(InvalidBar):
        require_closed(one, one.close_time - timedelta(microseconds=1), tolerance=timedelta(0))


def opens(*spacings: int) -> npt.NDArray[np.int64]:
    """Return times whose differences are the given seconds."""
    return np.cumsum([1_704_200_400, *spacings])


@pytest.mark.parametrize(
    ("spacings", "found"),
    [
        ([60] * 100, "1 minute"),
        ([60, 60, 300, 60, 60, 300], "1 minute"),
        ([1] * 10, "1 second"),
        ([90] * 10, "90 seconds"),
        ([900] * 10, "15 minutes"),
        ([3600] * 4 + [64_800] + [3600] * 4, "1 hour"),
        ([14_400] * 5 + [187_200] + [14_400] * 5, "4 hours"),
        ([86_400] * 4 + [259_200] + [86_400] * 4, "1 day"),
        ([300] + [3600] * 20, "1 hour"),
    ],
)
def test_foreign_spacing_finds_bars_of_another_interval(spacings: list[int], found: str) -> None:
    spacing = foreign_spacing(opens(*spacings), DEFAULT_INTERVAL)
    assert spacing is not None
    assert describe_spacing(spacing) == found


@pytest.mark.parametrize(
    "spacings",
    [
        [],
        [86_400],
        [3600, 3600],
        [300] * 59 + [72_300] + [300] * 59,
        [300, 600, 300, 900, 300, 259_200],
        [600, 300, 600, 600, 900, 600, 300, 1200],
    ],
    ids=["one bar", "two bars", "three bars", "a night", "holes and a weekend", "a thinly traded symbol"],
)
def test_foreign_spacing_accepts_gaps_and_few_bars(spacings: list[int]) -> None:
    assert foreign_spacing(opens(*spacings), DEFAULT_INTERVAL) is None
    shuffled = np.random.default_rng(1).permutation(np.repeat(opens(*spacings), 2))
    assert foreign_spacing(shuffled, DEFAULT_INTERVAL) is None


@pytest.mark.parametrize("interval", INTERVALS.values(), ids=INTERVALS)
def test_spacing_of_an_interval_is_foreign_to_every_other(interval: timedelta) -> None:
    seconds = int(interval.total_seconds())
    week = opens(*[seconds] * 20, 3 * 86_400, *[seconds] * 20)
    assert foreign_spacing(week, interval) is None
    others = set(INTERVALS.values()) - {interval}
    assert {foreign_spacing(week, other) for other in others} == {interval}


@pytest.mark.parametrize(
    ("found", "problem"),
    [
        (60, "bars of AB are 1 minute apart; bars of 1h are needed, or BAR_INTERVAL=AB=1m"),
        (90, "bars of AB are 90 seconds apart; bars of 1h are needed"),
    ],
)
def test_spacing_problem_says_what_to_set(found: int, problem: str) -> None:
    assert spacing_problem("AB", timedelta(seconds=found), timedelta(hours=1)) == problem


@pytest.mark.parametrize("interval", INTERVALS.values(), ids=INTERVALS)
@given(minutes=st.integers(0, 2 * 1440))
def test_bar_opens_on_the_grid_of_its_interval(interval: timedelta, minutes: int) -> None:
    """The grid is that of the day in UTC: every interval divides a day."""
    time = datetime(2024, 3, 4, tzinfo=UTC) + timedelta(minutes=minutes)
    if timedelta(minutes=minutes) % interval:
        with pytest.raises(InvalidBar) as caught:
            Bar("AB", time, 1.0, 1.0, 1.0, 1.0, interval=interval)
        assert [violation.field for violation in caught.value.violations] == ["time"]
        assert caught.value.message.startswith("time: must be the open of the bar, ")
    else:
        assert Bar("AB", time, 1.0, 1.0, 1.0, 1.0, interval=interval).close_time == time + interval


@pytest.mark.parametrize("interval", [timedelta(0), timedelta(minutes=7), timedelta(days=7)])
def test_bar_of_an_interval_that_bars_cannot_have_is_refused(interval: timedelta) -> None:
    with pytest.raises(InvalidBar, match=r"^interval: must be 1m, 5m, 15m, 30m, 1h, 4h or 1d$"):
        Bar("AB", OPENING, 1.0, 1.0, 1.0, 1.0, interval=interval)


def test_require_interval_refuses_another_one() -> None:
    require_interval(bar(0), DEFAULT_INTERVAL)
    with pytest.raises(InvalidBar, match=r"^interval: is '5m', and bars of USDCOP are of 1h$"):
        require_interval(bar(0), timedelta(hours=1))


@pytest.mark.parametrize(
    ("price", "problem"),
    [
        (LOWEST_PRICE, None),
        (HIGHEST_PRICE, None),
        (LOWEST_PRICE / 2, "must be from 1e-09 to 1e+12"),
        (HIGHEST_PRICE * 2, "must be from 1e-09 to 1e+12"),
        (0.0, "must be greater than 0"),
        (math.inf, "must be finite"),
    ],
)
def test_price_problem_names_the_bound_that_a_price_violates(price: float, problem: str | None) -> None:
    assert price_problem(price) == problem


@pytest.mark.parametrize(
    ("price", "jumps"), [(49.9, True), (50.0, False), (100.0, False), (200.0, False), (200.1, True)]
)
def test_price_beyond_the_limit_is_a_jump(price: float, jumps: bool) -> None:
    assert is_jump(price, last=100.0, limit=1.0) is jumps
    assert not is_jump(price, last=100.0, limit=0.0)
