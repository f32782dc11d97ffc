"""The population stability index of a feature."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tradingsignals_server.domain.drift import bin_edges, population_stability_index

DICE = np.random.default_rng(5)
REFERENCE = DICE.normal(size=500)


def test_two_samples_of_one_distribution_have_a_small_index() -> None:
    assert population_stability_index(REFERENCE, DICE.normal(size=500)) < 0.1


def test_the_reference_has_the_index_zero_against_itself() -> None:
    assert population_stability_index(REFERENCE, REFERENCE) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("recent", [REFERENCE + 1.0, REFERENCE * 3.0, np.full(500, 50.0)])
def test_moved_widened_or_frozen_values_have_a_large_index(recent: np.ndarray) -> None:
    assert 0.25 < population_stability_index(REFERENCE, recent) < math.inf


def test_index_of_two_bins_is_that_of_the_formula() -> None:
    reference, recent = np.array([0.0] * 50 + [1.0] * 50), np.array([0.0] * 20 + [1.0] * 80)
    # With half a count added to each bin; the bin below the lowest edge is empty in both.
    p, q = np.array([0.5, 20.5, 80.5]) / 101.5, np.array([0.5, 50.5, 50.5]) / 101.5
    assert population_stability_index(reference, recent) == pytest.approx(float(np.sum((p - q) * np.log(p / q))))


def test_feature_of_one_value_has_one_edge_and_drifts_when_it_changes() -> None:
    constant = np.zeros(100)
    assert bin_edges(constant).tolist() == [0.0]
    assert population_stability_index(constant, constant) == pytest.approx(0.0, abs=1e-12)
    assert population_stability_index(constant, constant - 1.0) > 1.0
