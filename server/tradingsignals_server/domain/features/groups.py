"""The features of an observation in the few groups that an explanation speaks of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .catalogue import GROUPS
from .specification import CatalogueFeatures, Features, Observation, RawBars

OTHERS = "Other features"


@dataclass(frozen=True, slots=True)
class ObservationGroup:
    """Numbers of an observation that belong together: their places, ascending."""

    title: str
    columns: tuple[int, ...]


def titles_of(features: Features) -> tuple[str, ...]:
    """Return the group of each name of `features`: of the catalogue, or what it is named itself."""
    if not isinstance(features, CatalogueFeatures):
        return features.names
    titles = {kind.name: group.title for group in GROUPS for kind in group.kinds}
    return tuple(titles.get(feature.kind.name, feature.kind.name) for feature in features.features)


def groups_of(features: Features, most: int) -> list[ObservationGroup]:
    """Return the groups of all numbers of an observation, at most `most`; the smallest are merged into one."""
    titles = titles_of(features)
    columns: dict[str, list[int]] = {}
    for column in range(features.size):
        columns.setdefault(titles[column % len(titles)], []).append(column)
    groups = [ObservationGroup(title, tuple(places)) for title, places in columns.items()]
    if len(groups) <= most:
        return groups
    kept = sorted(groups, key=lambda group: -len(group.columns))[: most - 1]
    others = sorted(column for group in groups if group not in kept for column in group.columns)
    return [*(group for group in groups if group in kept), ObservationGroup(OTHERS, tuple(others))]


def neutral_observation(features: Features, observation: Observation) -> Observation:
    """Return the observation of a market in which nothing happens, beside which `observation` is explained.

    Features of the catalogue have their neutral values. Raw bars are all as the oldest of them. Others are zeros.
    """
    if isinstance(features, CatalogueFeatures):
        frame = np.array([feature.kind.neutral for feature in features.features], dtype=np.float32)
        return _scaled(features, np.tile(frame, features.stack))
    if isinstance(features, RawBars):
        return np.tile(observation[: len(features.columns)], features.lookback_bars)
    return np.zeros(features.size, dtype=np.float32)


def mean_observation(features: Features, mean: Sequence[float]) -> Observation | None:
    """Return the observation of the training mean, of one frame or of all; None if it has another length."""
    if not mean or features.size % len(mean):
        return None
    return np.tile(np.array(mean, dtype=np.float32), features.size // len(mean))


def _scaled(features: CatalogueFeatures, observation: Observation) -> Observation:
    if features.scaling is None:
        return observation
    if len(features.scaling) == features.size:
        return features.scaling.of(observation)
    return np.concatenate([features.scaling.of(frame) for frame in np.split(observation, features.stack)])
