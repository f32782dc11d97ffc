"""The worked example is that of Bailey and Lopez de Prado, "The Deflated Sharpe Ratio" (2014)."""

from __future__ import annotations

import math

import numpy as np
import pytest
from tests.support.resolved_trades import noisy_returns

from tradingsignals_server.domain.performance.figures import Figure
from tradingsignals_server.domain.performance.selection import (
    Trials,
    expected_maximum_sharpe,
    probabilistic_sharpe,
    selection_figures,
)

# 100 trials, whose annualised Sharpe ratios have a variance of 1/2; 250 sessions a year.
EXAMPLE = Trials(100, 0.5 / 250.0)
SHARPE = 2.5 / math.sqrt(250.0)


def test_worked_example_of_the_deflated_sharpe_ratio() -> None:
    benchmark = expected_maximum_sharpe(EXAMPLE)
    assert benchmark == pytest.approx(0.1132, abs=5e-5)
    assert probabilistic_sharpe(SHARPE, benchmark, 1250, -3.0, 10.0) == pytest.approx(0.9004, abs=5e-5)


def test_worked_example_with_fewer_trials_passes_95_percent() -> None:
    # The paper: had there been 46 trials, the same strategy would have been accepted at 95%.
    assert probabilistic_sharpe(SHARPE, expected_maximum_sharpe(Trials(46, 0.5 / 250.0)), 1250, -3.0, 10.0) == (
        pytest.approx(0.9505, abs=5e-5)
    )


def test_worked_example_of_normal_returns_passes_with_88_trials() -> None:
    benchmark = expected_maximum_sharpe(Trials(88, 0.5 / 250.0))
    assert probabilistic_sharpe(SHARPE, benchmark, 1250, 0.0, 3.0) == pytest.approx(0.9505, abs=5e-4)


def test_a_sharpe_ratio_equal_to_the_benchmark_has_even_odds() -> None:
    assert probabilistic_sharpe(0.1, 0.1, 100, 0.0, 3.0) == 0.5


def test_an_undefined_standard_error_gives_no_probability() -> None:
    assert probabilistic_sharpe(1.0, 0.0, 100, 2.0, 1.0) is None
    assert probabilistic_sharpe(0.1, 0.0, 1, 0.0, 3.0) is None


def test_more_trials_expect_a_higher_best() -> None:
    best = [expected_maximum_sharpe(Trials(count, 0.01)) for count in (2, 10, 100, 1000)]
    assert best == sorted(best)
    assert best[0] > 0.0


def test_trials_have_the_variance_of_their_ratios() -> None:
    trials = Trials.of([0.1, 0.2, 0.3])
    assert trials.count == 3
    assert trials.sharpe_variance == pytest.approx(0.01)


@pytest.mark.parametrize("ratios", [[], [0.1]])
def test_fewer_than_two_trials_are_refused(ratios: list[float]) -> None:
    with pytest.raises(ValueError, match="2 or more"):
        Trials.of(ratios)


def test_figures_are_undefined_where_nothing_was_selected_or_the_ratio_is() -> None:
    returns, moments = np.array(noisy_returns(50)), (Figure(0.0, 50), Figure(3.0, 50))
    alone = selection_figures(returns, 0.1, moments, None)
    assert alone["deflated_sharpe"].value is None
    assert alone["trials"] == Figure(None, 0)
    assert alone["probabilistic_sharpe"] == Figure(probabilistic_sharpe(0.1, 0.0, 50, 0.0, 3.0), 50)
    flat = selection_figures(returns, None, moments, EXAMPLE)
    assert flat["probabilistic_sharpe"].value is flat["deflated_sharpe"].value is None
    assert flat["trials"] == Figure(100.0, 100)


def test_selection_among_trials_lowers_the_probability() -> None:
    found = selection_figures(np.array(noisy_returns(50)), 0.1, (Figure(0.0, 50), Figure(3.0, 50)), EXAMPLE)
    plain, deflated = found["probabilistic_sharpe"].value, found["deflated_sharpe"].value
    assert plain is not None
    assert deflated is not None
    assert deflated < plain
