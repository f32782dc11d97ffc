"""Groups of features: each number is in one, and there are never more than asked for."""

from __future__ import annotations

from itertools import chain

import numpy as np
import pytest

from tradingsignals_server.domain.features import M5_V1, CatalogueFeatures, Features, RawBars, Scaling
from tradingsignals_server.domain.features.groups import (
    OTHERS,
    groups_of,
    mean_observation,
    neutral_observation,
)

STACKED = CatalogueFeatures("stacked", M5_V1.features, stack=3)
RAW = RawBars(20)


@pytest.mark.parametrize("features", [M5_V1, STACKED, RAW])
@pytest.mark.parametrize("most", [2, 4, 10])
def test_each_number_is_in_one_group(features: Features, most: int) -> None:
    groups = groups_of(features, most)
    assert len(groups) <= most
    assert sorted(chain.from_iterable(group.columns for group in groups)) == list(range(features.size))


def test_groups_are_those_of_the_catalogue() -> None:
    groups = {group.title: group.columns for group in groups_of(M5_V1, 10)}
    assert groups["Averages"] == (10, 11, 12)
    assert OTHERS not in groups
    assert {group.title: group.columns for group in groups_of(STACKED, 10)}["Averages"] == (
        *(10, 11, 12),
        *(26, 27, 28),
        *(42, 43, 44),
    )


def test_smallest_groups_are_merged() -> None:
    titles = [group.title for group in groups_of(M5_V1, 3)]
    assert titles == ["Returns and movement", "Momentum and oscillators", OTHERS]


def test_neutral_observation_of_features_is_scaled_as_they_are() -> None:
    count = len(M5_V1.features)
    scaling = Scaling(np.full(count, 2.0), np.full(count, 4.0))
    scaled = CatalogueFeatures("scaled", M5_V1.features, stack=2, scaling=scaling)
    found = neutral_observation(scaled, np.zeros(scaled.size, np.float32))
    assert found.tolist() == [-0.5] * (2 * count)


def test_neutral_raw_bars_are_all_as_the_oldest() -> None:
    observation = np.arange(RAW.size, dtype=np.float32)
    found = neutral_observation(RAW, observation).reshape(20, 5)
    assert (found == [0, 1, 2, 3, 4]).all()


def test_mean_of_a_frame_is_repeated() -> None:
    found = mean_observation(STACKED, [float(number) for number in range(16)])
    assert found is not None
    assert found.tolist() == [*range(16)] * 3
    assert mean_observation(M5_V1, [1.0] * 5) is None
    assert mean_observation(M5_V1, []) is None
