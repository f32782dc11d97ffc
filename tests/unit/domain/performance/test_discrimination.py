from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.resolved_trades import resolved_trade, trades_of

from tradingsignals_server.domain.performance.bootstrap import BootstrapSettings, Resamples
from tradingsignals_server.domain.performance.discrimination import auc_figures, auc_of
from tradingsignals_server.domain.performance.trades import TradeColumns


def auc(score: list[float], won: list[bool]) -> float:
    return float(auc_of(np.array(score), np.array(won, np.float64), np.ones((len(score), 1)))[0])


def test_hand_computed_auc() -> None:
    # Winners 0.9 and 0.6 against 0.6 and 0.3: two and a half and one of four pairs.
    assert auc([0.9, 0.6, 0.6, 0.3], [True, True, False, False]) == pytest.approx(3.5 / 4.0)


def test_a_constant_score_tells_nothing() -> None:
    assert auc([0.7] * 5, [True, False, True, False, False]) == 0.5


def test_without_both_results_there_is_no_auc() -> None:
    assert np.isnan(auc([0.1, 0.2], [True, True]))
    assert np.isnan(auc([], []))


@given(st.lists(st.tuples(st.integers(0, 8), st.booleans()), min_size=1, max_size=30))
def test_auc_is_the_share_of_ordered_pairs(cases: list[tuple[int, bool]]) -> None:
    score, won = [n / 8 for n, _ in cases], [w for _, w in cases]
    pairs = [(a, b) for a, w in zip(score, won, strict=True) if w for b, x in zip(score, won, strict=True) if not x]
    if pairs:
        assert auc(score, won) == pytest.approx(sum((a > b) + 0.5 * (a == b) for a, b in pairs) / len(pairs))
        assert auc([-s for s in score], won) == pytest.approx(1.0 - auc(score, won))


def test_weights_count_trades_as_often() -> None:
    score, won = np.array([0.9, 0.2, 0.5]), np.array([1.0, 0.0, 0.0])
    repeated = auc([0.9, 0.2, 0.5, 0.5, 0.5], [True, False, False, False, False])
    assert auc_of(score, won, np.array([[1.0], [1.0], [3.0]])).tolist() == [repeated]


def test_figures_count_the_trades_that_have_the_score() -> None:
    trades = (*trades_of([0.1, -0.1]), resolved_trade(0.1, session=2, win_probability=0.6))
    found = auc_figures(TradeColumns.of(trades), np.empty((0, 3)))
    assert (found["auc_confidence"].value, found["auc_confidence"].n) == (0.5, 3)
    assert (found["auc_win_probability"].value, found["auc_win_probability"].n) == (None, 1)


def test_the_interval_holds_the_estimate() -> None:
    rng = np.random.default_rng(3)
    trades = tuple(
        resolved_trade(float(rng.normal(c - 0.5, 0.3)), session=at, confidence=float(c))
        for at, c in enumerate(rng.uniform(0.0, 1.0, 80))
    )
    weights = Resamples.of(80, BootstrapSettings(200)).weights()
    figure = auc_figures(TradeColumns.of(trades), weights)["auc_confidence"]
    assert figure.value is not None
    assert figure.interval is not None
    assert 0.5 < figure.interval.low < figure.value < figure.interval.high
