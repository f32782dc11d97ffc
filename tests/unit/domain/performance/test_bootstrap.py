from __future__ import annotations

import numpy as np
import pytest
from tests.support.resolved_trades import resolved_trade

from tradingsignals_server.domain.performance.bootstrap import (
    MIN_SESSIONS,
    BootstrapSettings,
    Resamples,
    percentile_interval,
)
from tradingsignals_server.domain.performance.summary import PerformanceSettings, performance_of


def test_each_resample_draws_as_many_sessions_as_there_are() -> None:
    resamples = Resamples.of(12, BootstrapSettings(50))
    assert resamples.draws.shape == (50, 12)
    assert resamples.weights().sum(axis=1).tolist() == [12.0] * 50


def test_weights_and_chunks_are_the_same_draws() -> None:
    resamples, values = Resamples.of(30, BootstrapSettings(40)), np.arange(30.0)
    drawn = np.concatenate(list(resamples.chunks(values)))
    assert drawn.sum(axis=1) == pytest.approx(resamples.weights() @ values)


def test_few_sessions_have_no_resamples() -> None:
    assert len(Resamples.of(MIN_SESSIONS - 1, BootstrapSettings()).weights()) == 0
    assert len(Resamples.of(MIN_SESSIONS, BootstrapSettings()).weights()) == 1000


def test_the_interval_is_that_of_the_percentiles() -> None:
    interval = percentile_interval(np.arange(1001.0))
    assert interval is not None
    assert (interval.low, interval.high) == (25.0, 975.0)


def test_a_figure_that_is_often_undefined_has_no_interval() -> None:
    values = np.arange(100.0)
    values[:5] = np.nan
    assert percentile_interval(values) is not None
    values[5] = np.inf
    assert percentile_interval(values) is None
    assert percentile_interval(np.array([])) is None


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="not negative"):
        BootstrapSettings(resamples=-1)


@pytest.mark.untraced
def test_intervals_hold_the_true_win_rate_about_95_times_of_100() -> None:
    rng = np.random.default_rng(11)
    settings = PerformanceSettings(bootstrap=BootstrapSettings(200))
    held = 0
    for _ in range(100):
        results = np.where(rng.random(60) < 0.4, 0.1, -0.1).tolist()
        trades = [resolved_trade(net, session=at) for at, net in enumerate(results)]
        interval = performance_of(trades, None, settings).figures["win_rate_pct"].interval
        assert interval is not None
        held += interval.low <= 40.0 <= interval.high
    assert 85 <= held <= 100


def test_trades_of_one_session_are_drawn_together() -> None:
    # The same trades, in one session each or four to a session with one result: the latter know less.
    def width(per_session: int) -> float:
        rng = np.random.default_rng(2)
        results = np.repeat(np.where(rng.random(120 // per_session) < 0.5, 0.1, -0.1), per_session).tolist()
        trades = [resolved_trade(net, session=at // per_session, minute=at) for at, net in enumerate(results)]
        interval = performance_of(trades, None).figures["win_rate_pct"].interval
        assert interval is not None
        return interval.high - interval.low

    assert width(4) > 1.5 * width(1)
