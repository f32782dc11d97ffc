"""Ranking, deflation and walk-forward of runs that are written down by hand."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from tests.support.backtests import NO_INTERVALS

from tradingsignals_server.application.backtest.grid import (
    GridPoint,
    TooFewSessions,
    compared,
    session_curve,
    walk_forward,
)
from tradingsignals_server.domain.performance.equity import SessionEquity
from tradingsignals_server.domain.performance.summary import performance_of

FIRST = date(2024, 1, 1)


def point(name: str, profits: list[float]) -> GridPoint:
    """Return a run with these profits by session."""
    equity, levels = 1000.0, []
    for profit in profits:
        equity += profit
        levels.append(equity)
    days = tuple(FIRST + timedelta(days=n) for n in range(len(profits)))
    sessions = SessionEquity(1000.0, days, tuple(levels))
    figures = performance_of((), session_curve(sessions), NO_INTERVALS).figures
    return GridPoint({"NAME": name}, figures, sessions, ())


EARLY = point("early", [2.0, 1.0] * 12 + [-2.0, -1.0] * 24)
LATE = point("late", [-1.0, -2.0] * 12 + [2.0, 1.0] * 24)
FLAT = point("flat", [0.0] * 72)


def test_points_are_ranked_by_sharpe_and_those_without_come_last() -> None:
    comparison = compared([FLAT, EARLY, LATE], NO_INTERVALS)
    assert [one.settings["NAME"] for one in comparison.points] == ["late", "early", "flat"]
    assert comparison.trials is not None
    assert comparison.trials.count == 2


def test_the_best_is_deflated_by_the_number_of_tries() -> None:
    few = compared([EARLY, LATE], NO_INTERVALS).deflated_sharpe.value
    many = compared([EARLY, LATE] * 20, NO_INTERVALS).deflated_sharpe.value
    alone = LATE.figures["probabilistic_sharpe"].value
    assert few is not None
    assert many is not None
    assert alone is not None
    assert many < few < alone


def test_one_point_is_not_deflated() -> None:
    comparison = compared([LATE], NO_INTERVALS)
    assert comparison.trials is None
    assert comparison.deflated_sharpe.value is None


def test_a_walk_forward_tests_what_was_best_before() -> None:
    walked = walk_forward([EARLY, LATE], 2, NO_INTERVALS)
    first, second = walked.folds
    assert first.chosen == {"NAME": "early"}
    assert (first.first_day, first.last_day) == (FIRST + timedelta(days=24), FIRST + timedelta(days=47))
    assert second.chosen == {"NAME": "late"}
    assert second.last_day == FIRST + timedelta(days=71)
    # Early lost 36 in the first test, late won 36 in the second.
    assert walked.out_of_sample["total_return_pct"].value == pytest.approx(0.0, abs=1e-9)
    assert first.in_sample["sharpe"].value is not None
    assert first.in_sample["sharpe"].value > 0


def test_more_splits_than_sessions_are_refused() -> None:
    with pytest.raises(TooFewSessions, match="72"):
        walk_forward([EARLY], 72, NO_INTERVALS)
