"""The deflated Sharpe ratio, against the example of its source."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
from models.training.sharpe import Returns, expected_best, probability_above


def test_example_of_the_source() -> None:
    """2.5 a year over five years of 250 days, skewness -3, kurtosis 10; best of 100 trials with a variance of 1/2."""
    best = expected_best(0.5 / 250.0, 100)
    assert best == pytest.approx(0.1132, abs=1e-4)
    assert probability_above(Returns(2.5 / sqrt(250.0), -3.0, 10.0, 1250), best) == pytest.approx(0.9004, abs=1e-4)


def test_one_trial_needs_no_deflation() -> None:
    assert expected_best(0.5, 1) == 0.0
    assert expected_best(0.0, 100) == 0.0


def test_ratio_at_the_bound_is_a_coin() -> None:
    assert probability_above(Returns(0.1, 0.0, 3.0, 100), 0.1) == pytest.approx(0.5)


def test_moments_are_those_of_the_returns() -> None:
    made = Returns.of(np.array([1.0, -1.0, 3.0, 1.0]))
    assert made.sharpe == pytest.approx(1.0 / np.std([1.0, -1.0, 3.0, 1.0], ddof=1))
    assert made.skewness == pytest.approx(0.0)
    assert made.kurtosis == pytest.approx(2.0)
    assert made.periods == 4
    assert Returns.of(np.zeros(5)) == Returns(0.0, 0.0, 3.0, 5)
