"""Keeps the observations that the drift of features is computed from."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from ...domain.drift import population_stability_index
from ...domain.features import Observation

KEPT_OBSERVATIONS: Final = 500
"""Of the reference, and of the newest ones that are compared with it."""


class DriftMeter:
    """The first observations of a policy since the start, and the newest ones after them."""

    def __init__(self) -> None:
        self._of = "", 0
        self._reference: list[Observation] = []
        self._recent: deque[Observation] = deque(maxlen=KEPT_OBSERVATIONS)

    def add(self, policy: str, observation: Observation) -> None:
        """Take the observation of a decision. Those of another policy than before begin anew."""
        if (policy, len(observation)) != self._of:
            self._of = policy, len(observation)
            self._reference, self._recent = [], deque(maxlen=KEPT_OBSERVATIONS)
        kept = self._reference if len(self._reference) < KEPT_OBSERVATIONS else self._recent
        kept.append(observation)

    def indices(self, names: Sequence[str]) -> Mapping[str, float]:
        """Return the index of each feature; none before there are enough observations, or if `names` are of others.

        Frames that are stacked are one feature each: only the newest frame, the last of an observation, counts.
        """
        if len(self._recent) < KEPT_OBSERVATIONS or not names or len(self._reference[0]) % len(names):
            return {}
        reference, recent = np.array(self._reference), np.array(self._recent)
        first = reference.shape[1] - len(names)
        return {
            name: population_stability_index(reference[:, first + at], recent[:, first + at])
            for at, name in enumerate(names)
        }
