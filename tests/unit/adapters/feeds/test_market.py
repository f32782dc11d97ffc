from __future__ import annotations

import math
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from statistics import mean, pstdev

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradingsignals_server.adapters.feeds.market import SimulatedMarket
from tradingsignals_server.domain.bars import Bar
from tradingsignals_server.domain.calendar import calendar_for
from tradingsignals_server.domain.intervals import DEFAULT_INTERVAL, INTERVALS

CALENDAR = calendar_for("USDCOP")


def sessions(count: int, seed: int = 7) -> list[list[Bar]]:
    market = SimulatedMarket(seed, "USDCOP", CALENDAR)
    day = date(2020, 1, 2)
    previous: Bar | None = None
    made: list[list[Bar]] = []
    while len(made) < count:
        bars: list[Bar] = []
        for time in CALENDAR.bars_of(day):
            previous = market.next_bar(time, previous)
            bars.append(previous)
        if bars:
            made.append(bars)
        day += timedelta(days=1)
    return made


@pytest.fixture(scope="module")
def year() -> list[list[Bar]]:
    return sessions(240)


def test_bars_have_the_statistics_of_usd_cop(year: list[list[Bar]]) -> None:
    bars = [bar for session in year for bar in session]
    assert abs(year[0][0].open - 4000.0) < 1.0
    assert 3000.0 < min(bar.low for bar in bars) < max(bar.high for bar in bars) < 5500.0
    assert 0.5 < mean(bar.high - bar.low for bar in bars) < 20.0
    assert all(round(price, 2) == price for bar in bars for price in (bar.open, bar.high, bar.low, bar.close))
    assert all(bar.simulated for bar in bars)
    daily = [math.log(later[-1].close / earlier[-1].close) for earlier, later in pairwise(year)]
    assert 0.004 < pstdev(daily) < 0.02


def test_gaps_occur_between_sessions_only(year: list[list[Bar]]) -> None:
    overnight = [abs(later[0].open - earlier[-1].close) for earlier, later in pairwise(year)]
    inside = [abs(later.open - earlier.close) for bars in year for earlier, later in pairwise(bars)]
    assert mean(overnight) > 2.0
    assert max(inside) == 0.0


def test_volatility_varies_over_time(year: list[list[Bar]]) -> None:
    ranges = [mean(bar.high - bar.low for bar in session) for session in year]
    assert max(ranges) > 2.0 * min(ranges)
    # Lively days come in groups: a day resembles the next one more than it resembles one of another season.
    near = mean(abs(a - b) for a, b in pairwise(ranges))
    far = mean(abs(a - b) for a, b in zip(ranges, ranges[60:], strict=False))
    assert near < 0.7 * far


def test_bars_trend_within_a_session(year: list[list[Bar]]) -> None:
    """Twenty consecutive bars move further than twenty independent ones."""
    alone = mean((bar.close - bar.open) ** 2 for session in year for bar in session)
    together = mean((leg[-1].close - leg[0].open) ** 2 for s in year for leg in (s[:20], s[20:40], s[40:]))
    assert together > 1.5 * 20 * alone


def test_bar_is_a_function_of_the_previous_bar(year: list[list[Bar]]) -> None:
    bars = [bar for session in year[:3] for bar in session]
    for previous, bar in pairwise(bars):
        stored = Bar("USDCOP", previous.time, previous.close, previous.close, previous.close, previous.close)
        assert SimulatedMarket(7, "USDCOP", CALENDAR).next_bar(bar.time, stored) == bar


def test_seed_and_symbol_determine_the_market() -> None:
    time = datetime(2020, 1, 2, 13, 0, tzinfo=UTC)
    closes = {SimulatedMarket(seed, "USDCOP", CALENDAR).next_bar(time, None).close for seed in range(5)}
    assert len(closes) == 5
    levels = {SimulatedMarket(7, symbol, CALENDAR).level for symbol in ("USDCOP", "EURCOP", "GBPCOP")}
    assert len(levels) == 3


def test_bars_are_equal_in_every_process() -> None:
    program = (
        "from datetime import *\n"
        "from tradingsignals_server.adapters.feeds.market import SimulatedMarket\n"
        "from tradingsignals_server.domain.calendar import calendar_for\n"
        "market = SimulatedMarket(7, 'EURCOP', calendar_for('EURCOP'))\n"
        "bar = market.next_bar(datetime(2020, 1, 2, 13, tzinfo=UTC), None)\n"
        "print(bar.open, bar.high, bar.low, bar.close)\n"
    )
    seen = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": salt},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout
        for salt in ("1", "2")
    }
    bar = SimulatedMarket(7, "EURCOP", CALENDAR).next_bar(datetime(2020, 1, 2, 13, tzinfo=UTC), None)
    assert seen == {f"{bar.open} {bar.high} {bar.low} {bar.close}\n"}


@settings(max_examples=300, deadline=None)
@given(
    seed=st.integers(),
    slot=st.integers(min_value=0, max_value=40 * 365 * 288),
    close=st.floats(min_value=0.01, max_value=1e9).map(lambda price: max(0.01, round(price, 2))),
    pause=st.integers(min_value=1, max_value=10_000),
)
def test_next_bar_is_valid_after_any_bar(seed: int, slot: int, close: float, pause: int) -> None:
    """Bars are valid by construction, so the property is that the construction succeeds for any input."""
    time = datetime(1990, 1, 1, tzinfo=UTC) + slot * DEFAULT_INTERVAL
    previous = Bar("EURUSD", time, close, close, close, close)
    bar = SimulatedMarket(seed, "EURUSD", calendar_for("EURUSD")).next_bar(time + pause * DEFAULT_INTERVAL, previous)
    assert bar.close > 0.0


@pytest.mark.parametrize("name", ["1m", "1h"])
def test_volatility_grows_with_the_square_root_of_the_interval(name: str) -> None:
    returns: dict[timedelta, list[float]] = {}
    for interval in (INTERVALS[name], DEFAULT_INTERVAL):
        calendar = calendar_for("EURUSD", interval=interval)
        market, previous = SimulatedMarket(7, "EURUSD", calendar), None
        for number in range(3000):
            bar = market.next_bar(datetime(2020, 1, 1, tzinfo=UTC) + number * interval, previous)
            returns.setdefault(interval, []).append(math.log(bar.close / bar.open))
            assert bar.interval == interval
            previous = bar
    ratio = pstdev(returns[INTERVALS[name]]) / pstdev(returns[DEFAULT_INTERVAL])
    expected = math.sqrt(INTERVALS[name] / DEFAULT_INTERVAL)
    assert 0.5 * expected < ratio < 2.0 * expected
