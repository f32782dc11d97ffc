from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st
from tests.support.report_data import bar_times, walk

from tradingsignals_server.adapters.report.thinning import coarser, kept_points
from tradingsignals_server.application.report import PriceBars


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=300), st.integers(4, 60))
def test_thinning_keeps_the_ends_and_the_extremes_within_the_limit(values: list[float], limit: int) -> None:
    kept = kept_points(values, limit)
    assert kept == sorted(set(kept))
    assert (kept[0], kept[-1]) == (0, len(values) - 1)
    chosen = [values[at] for at in kept]
    assert (min(chosen), max(chosen)) == (min(values), max(values))
    assert len(kept) <= limit


def test_coarser_bars_have_the_first_open_the_extremes_and_the_last_close() -> None:
    bars = PriceBars(
        "X", timedelta(minutes=5), (900, 1200, 1500, 1800), (1.0, 2.0, 3.0, 4.0), (5.0, 9.0, 6.0, 7.0),
        (0.5, 0.4, 0.1, 0.6), (2.0, 3.0, 4.0, 5.0),
    )  # fmt: skip
    assert coarser(bars, 3) == PriceBars(
        "X", timedelta(minutes=15), (900, 1800), (1.0, 4.0), (9.0, 7.0), (0.1, 0.6), (4.0, 5.0)
    )
    assert coarser(bars, 1) is bars


@given(st.integers(1, 400), st.sampled_from([2, 3, 12, 288]))
def test_coarser_bars_keep_the_range_of_prices(count: int, factor: int) -> None:
    bars = walk("X", bar_times(count), 1)
    after = coarser(bars, factor)
    assert (max(after.high), min(after.low)) == (max(bars.high), min(bars.low))
    assert (after.open[0], after.close[-1]) == (bars.open[0], bars.close[-1])
    assert list(after.times) == sorted(set(after.times))
