"""The population stability index of a feature."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tradingsignals_server.domain.drift import MUCH, RUN, Distribution, population_stability_index

DICE = np.random.default_rng(5)
REFERENCE = DICE.normal(size=500)


def test_two_samples_of_one_distribution_have_a_small_index() -> None:
    assert population_stability_index(Distribution.of(REFERENCE), DICE.normal(size=500)) < 0.1


def test_the_reference_has_the_index_zero_against_itself() -> None:
    assert population_stability_index(Distribution.of(REFERENCE), REFERENCE) == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("recent", [REFERENCE + 1.0, REFERENCE * 3.0, np.full(500, 50.0)])
def test_moved_widened_or_frozen_values_have_a_large_index(recent: np.ndarray) -> None:
    assert 0.25 < population_stability_index(Distribution.of(REFERENCE), recent) < math.inf


def test_index_of_two_bins_is_that_of_the_formula() -> None:
    reference, recent = np.array([0.0] * 50 + [1.0] * 50), np.array([0.0] * 20 + [1.0] * 80)
    # With half a count added to each bin; the bin below the lowest edge is empty in both.
    p, q = np.array([0.5, 20.5, 80.5]) / 101.5, np.array([0.5, 50.5, 50.5]) / 101.5
    assert population_stability_index(Distribution.of(reference), recent) == pytest.approx(
        float(np.sum((p - q) * np.log(p / q))), rel=1e-4
    )


def test_limit_of_a_training_is_what_its_own_runs_reach() -> None:
    calm_and_wild = np.concatenate([DICE.normal(size=2000), DICE.normal(scale=4.0, size=2000), DICE.normal(size=7)])
    training = Distribution.of_training(calm_and_wild)
    runs = [population_stability_index(training, run) for run in calm_and_wild[:4000].reshape(-1, RUN)]
    assert training.limit == pytest.approx(max(runs), abs=1e-4)
    assert training.limit > MUCH
    assert Distribution.of_training(DICE.normal(size=4000)).limit == MUCH
    assert Distribution.of_training(REFERENCE[:400]).highest == 0.0, "too few for a run"


def test_feature_of_one_value_has_one_edge_and_drifts_when_it_changes() -> None:
    constant = np.zeros(100)
    reference = Distribution.of(constant)
    assert reference.edges == (0.0,)
    assert population_stability_index(reference, constant) == pytest.approx(0.0, abs=1e-6)
    assert population_stability_index(reference, constant - 1.0) > 1.0


@pytest.mark.parametrize(
    ("edges", "shares"),
    [
        ((), (1.0,)),
        ((1.0, 1.0), (0.2, 0.3, 0.5)),
        ((2.0, 1.0), (0.2, 0.3, 0.5)),
        ((math.inf,), (0.5, 0.5)),
        ((1.0,), (0.5, 0.3, 0.2)),
        ((1.0,), (1.0, 0.0)),
        ((1.0,), (0.5, 0.6)),
    ],
)
def test_distribution_that_is_none_is_refused(edges: tuple[float, ...], shares: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match=r"edges that are not|shares that are not"):
        Distribution(edges, shares)
