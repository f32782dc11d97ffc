"""The window contains the newest bars, oldest first, and is immutable."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.builders import walk

from tradingsignals_server.domain.bars import Bar
from tradingsignals_server.domain.window import LOOKBACK_BARS, Window

WALK = walk(240)
UNFINISHED = (1.0, 2.0, 0.5, 1.5, 7.0)


def rows(bars: list[Bar]) -> list[list[float]]:
    return [[getattr(bar, name) for bar in bars] for name in ("open", "high", "low", "close", "volume")] + [
        [bar.time.timestamp() for bar in bars]
    ]


@given(count=st.integers(0, 240), limit=st.integers(1, 130))
def test_append_keeps_the_newest_bars(count: int, limit: int) -> None:
    window = Window.empty(limit)
    for bar in WALK[:count]:
        window = window.append(bar)
    newest = WALK[:count][-limit:]
    assert window.rows.tolist() == rows(newest)
    assert window.time == (newest[-1].time if newest else None)
    assert len(window) == len(newest)


@given(count=st.integers(0, 240))
def test_window_of_bars_equals_appending_them(count: int) -> None:
    at_once = Window.of(WALK[:count])
    one_by_one = Window.empty(240)
    for bar in WALK[:count]:
        one_by_one = one_by_one.append(bar)
    assert at_once.rows.tobytes() == one_by_one.rows.tobytes()
    assert at_once.time == one_by_one.time


def test_live_window_has_100_bars() -> None:
    window = Window.empty()
    for bar in WALK:
        window = window.append(bar)
    assert len(window) == LOOKBACK_BARS == 100


def test_rows_are_contiguous_for_talib() -> None:
    for window in (Window.of(WALK[:3]), Window.of(WALK[:3]).append(WALK[3]), Window.empty()):
        for row in (window.open, window.high, window.low, window.close, window.volume, window.times):
            assert row.dtype == np.float64
            assert row.flags["C_CONTIGUOUS"]


def test_append_leaves_the_previous_window_unchanged() -> None:
    before = Window.of(WALK[:100])
    rows_before = before.rows.copy()
    before.append(WALK[100])
    before.with_unfinished(UNFINISHED)
    assert (before.rows == rows_before).all()
    assert before.time == WALK[99].time


def test_unfinished_bar_leaves_the_time_unchanged() -> None:
    window = Window.of(WALK[:100]).with_unfinished(UNFINISHED)
    opened = WALK[99].time.timestamp() + 300.0
    assert window.rows[:, -1].tolist() == [*UNFINISHED, opened]
    assert window.rows[:, :-1].tolist() == rows(WALK[1:100])
    assert window.time == WALK[99].time
    assert Window.empty().with_unfinished(UNFINISHED).time is None


@pytest.mark.parametrize("bars", [1, 99, 100, 101])
def test_newest_is_a_window_of_the_last_bars(bars: int) -> None:
    window = Window.of(WALK[:100])
    newest = window.newest(bars)
    assert newest.rows.tolist() == window.rows[:, -bars:].tolist()
    assert newest.time == window.time
