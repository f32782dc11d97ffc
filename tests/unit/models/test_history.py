"""Training observations are bit-identical to those of the live service."""

from __future__ import annotations

import gzip
from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from models.training.history import History
from models.training.split import Months, Split
from tests.support.bars import write_csv
from tests.support.builders import MONDAY, simulated_bars

from tradingsignals_server.adapters.feeds.rows import UnreadableFile
from tradingsignals_server.domain.bars import Bar
from tradingsignals_server.domain.indicators import WARM_BARS
from tradingsignals_server.domain.risk import RiskRules
from tradingsignals_server.domain.window import LOOKBACK_BARS

from .conftest import live, script_for


def assert_as_live(history: History) -> None:
    policy, _ = live(history, RiskRules(), script_for(history, 1))
    decides = [index for session in history.sessions for index in range(session.first, session.last + 1)]
    assert len(decides) == len(policy.observations) > 2 * LOOKBACK_BARS
    assert np.array(policy.observations).tobytes() == history.observations[decides].tobytes()


def test_observations_are_bit_identical_to_the_live_pipeline(market: History) -> None:
    assert_as_live(market)


def test_observations_of_an_uneven_feed_are_bit_identical_to_the_live_pipeline(uneven_month: History) -> None:
    assert any(day is None for day in uneven_month.days), "a holiday's bars should be among them"
    assert_as_live(uneven_month)


def test_future_bars_change_no_observation() -> None:
    bars = simulated_bars(5)
    cut = 160
    doubled = [replace(b, open=2 * b.open, high=2 * b.high, low=2 * b.low, close=2 * b.close) for b in bars[cut:]]
    before, after = History.of(bars), History.of(bars[:cut] + doubled)
    assert before.observations[:cut].tobytes() == after.observations[:cut].tobytes()
    assert before.observations[cut:].tobytes() != after.observations[cut:].tobytes()


def test_session_contains_the_deciding_bars_of_a_day(market: History) -> None:
    first, second, *_ = market.sessions
    assert first.day == MONDAY
    assert len(first) == 60 - (WARM_BARS - 1), "the first bars of all only warm the indicators up"
    assert len(second) == 60 - 3, "three of its bars are missing"
    assert [len({market.days[i] for i in range(s.first, s.last + 1)}) for s in market.sessions] == [1] * 10
    assert all(earlier.last < later.first for earlier, later in pairwise(market.sessions))


def test_history_requires_one_symbol_and_ordered_bars() -> None:
    bars = simulated_bars(1)
    with pytest.raises(ValueError, match="exactly one symbol"):
        History.of([*bars, Bar("EURUSD", bars[-1].time + timedelta(minutes=5), 1.0, 1.0, 1.0, 1.0)])
    with pytest.raises(ValueError, match="not newer"):
        History.of([*bars, bars[-1]])


def test_damaged_file_is_refused(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "bars.csv", simulated_bars(5))
    assert len(History.read(path).bars) == 5 * 60
    path.write_bytes(gzip.compress(path.read_bytes())[:-200])
    with pytest.raises(UnreadableFile, match="the compressed file is damaged"):
        History.read(path)


def test_last_months_are_held_out() -> None:
    """The last bars are of 30 August, so each range begins on the 31st of its month, or on its last day."""
    days = (
        date(2022, 2, 25),
        date(2022, 2, 28),
        date(2023, 2, 27),
        date(2023, 2, 28),
        date(2023, 8, 30),
        date(2023, 8, 31),
        date(2024, 8, 30),
    )
    bars = [
        replace(bar, time=bar.time + timedelta(days=(day - MONDAY).days)) for day in days for bar in simulated_bars(1)
    ]
    split = Split.of(History.of(bars), Months())
    assert [session.day for session in split.training] == [*days[:1]]
    assert [session.day for session in split.validation] == [*days[1:3]]
    assert [session.day for session in split.calibration] == [*days[3:5]]
    assert [session.day for session in split.test] == [*days[5:]]
    assert split.judged == split.validation + split.calibration + split.test


def test_too_short_history_is_refused(market: History) -> None:
    with pytest.raises(ValueError, match="reach from before 2021-09-16 to 2024-03-15"):
        Split.of(market, Months())
