"""Keeps the observations that the drift of features is computed from."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ...domain.drift import RUN, Distribution, population_stability_index
from ...domain.features import Observation


@dataclass(frozen=True, slots=True)
class Drift:
    """The index of a feature, and the one above which it has drifted."""

    index: float
    limit: float


class DriftMeter:
    """The first observations of a policy since the start, and the newest ones after them."""

    def __init__(self) -> None:
        self._of, self._count = ("", 0), 0
        self._first: list[Observation] = []
        self._recent: deque[Observation] = deque(maxlen=RUN)

    def add(self, policy: str, observation: Observation) -> None:
        """Take the observation of a decision. Those of another policy than before begin anew."""
        if (policy, len(observation)) != self._of:
            self._of, self._count = (policy, len(observation)), 0
            self._first, self._recent = [], deque(maxlen=RUN)
        if len(self._first) < RUN:
            self._first.append(observation)
        self._recent.append(observation)
        self._count += 1

    def drift(self, names: Sequence[str], training: Sequence[Distribution] = ()) -> Mapping[str, Drift]:
        """Return the drift of each feature against its distribution in `training`, or, if that is not known, against
        the first observations.

        None before there are enough observations, or if `names` are of others. Frames that are stacked are one feature
        each: only the newest frame, the last of an observation, counts.
        """
        if len(self._recent) < RUN or not names or len(self._recent[0]) % len(names):
            return {}
        recent = np.array(self._recent)[:, -len(names) :]
        if len(training) != len(names):
            if self._count < 2 * RUN:
                return {}
            training = [Distribution.of(values) for values in np.array(self._first)[:, -len(names) :].T]
        pairs = zip(names, training, recent.T, strict=True)
        return {
            name: Drift(population_stability_index(reference, values), reference.limit)
            for name, reference, values in pairs
        }
