"""Intervals: their names, and the setting by symbol."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradingsignals_server.domain.intervals import (
    DEFAULT_INTERVAL,
    INTERVALS,
    Intervals,
    grid_of,
    interval_name,
    parse_interval,
)

symbols = st.from_regex(r"\A[A-Z]{6,9}\Z")
intervals = st.sampled_from(list(INTERVALS.values()))


@pytest.mark.parametrize(("name", "interval"), INTERVALS.items())
def test_interval_has_a_name_a_grid_and_divides_a_day(name: str, interval: timedelta) -> None:
    assert parse_interval(f" {name.upper()} ") == interval
    assert interval_name(interval) == name
    assert grid_of(interval)
    assert timedelta(days=1) % interval == timedelta(0)


@given(every_other=intervals, by_symbol=st.dictionaries(symbols, intervals))
def test_intervals_are_written_as_the_setting_that_gives_them(
    every_other: timedelta, by_symbol: dict[str, timedelta]
) -> None:
    found = Intervals(every_other, by_symbol)
    assert Intervals.parse(str(found)) == found


def test_interval_of_a_symbol_that_is_not_named_is_that_of_every_other() -> None:
    found = Intervals.parse("BTC/USDT=1h, *=1d")
    assert (found.of("BTCUSDT"), found.of("USDCOP")) == (timedelta(hours=1), timedelta(days=1))
    assert Intervals.parse("BTCUSDT=1h").of("USDCOP") == DEFAULT_INTERVAL
    assert Intervals.parse("15m") == Intervals(timedelta(minutes=15))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("7m", "the interval of every other symbol, '7m' must be 1m, 5m, 15m, 30m, 1h, 4h or 1d"),
        ("BTCUSDT=2h,*=5m", "the interval of BTCUSDT, '2h' must be 1m, 5m, 15m, 30m, 1h, 4h or 1d"),
        ("BTCUSDT=", "the interval of BTCUSDT, '' must be 1m, 5m, 15m, 30m, 1h, 4h or 1d"),
        ("BTCUSDT=1h,btc-usdt=5m", "names BTCUSDT twice"),
        (" , ", "must be 1m, 5m, .* or by symbol .*"),
    ],
)
def test_intervals_that_are_none_are_refused_with_the_symbol(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=f"^{problem}$"):
        Intervals.parse(text)
