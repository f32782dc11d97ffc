"""Random observations, on which an exported policy is compared with its original."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..domain.features import Features, RawBars
from .evidence import bounds_of

if TYPE_CHECKING:
    from ..adapters.onnx.graph import Normalisation

Float32 = npt.NDArray[np.float32]

_LARGEST = 10.0
"""Largest absolute value of a random number of which no bound is known."""


@dataclass(frozen=True, slots=True)
class Sampler:
    """Makes random observations of `features`.

    normalisation: that of the policy; it makes half of the observations typical of the training.
    price: the middle of the prices of raw bars.
    """

    features: Features
    normalisation: Normalisation | None = None
    price: float = 100.0

    def sample(self, random: np.random.Generator, rows: int) -> Float32:
        """Return observations of shape (rows, features.size): half over the whole range of each feature."""
        if isinstance(self.features, RawBars):
            return self._bars(random, rows)
        shape = (rows, self.features.size)
        values = random.normal(scale=3.0, size=shape)
        if self.normalisation is not None:
            mean, variance = (
                np.tile(numbers, self.features.size // len(numbers))
                for numbers in (self.normalisation.mean, self.normalisation.variance)
            )
            usual = mean + 2.0 * np.sqrt(variance) * random.normal(size=shape)
            values = np.where(random.random((rows, 1)) < 0.5, values, usual)
        lowest, highest = (
            np.tile(np.clip(bound, -_LARGEST, _LARGEST), self.features.size // len(bound))
            for bound in bounds_of(self.features)
        )
        return values.clip(lowest, highest).astype(np.float32)

    def _bars(self, random: np.random.Generator, rows: int) -> Float32:
        """Return windows of bars whose closes are a random walk."""
        count = self.features.lookback_bars
        moves = random.normal(scale=random.choice([1e-4, 1e-3, 1e-2], (rows, 1)), size=(rows, count + 1))
        closes = self.price * np.exp(np.cumsum(moves, axis=1))
        opens, closes = closes[:, :-1], closes[:, 1:]
        spread = np.abs(random.normal(scale=5e-4, size=(2, rows, count)))
        columns = {
            "open": opens,
            "high": np.maximum(opens, closes) * (1.0 + spread[0]),
            "low": np.minimum(opens, closes) * (1.0 - spread[1]),
            "close": closes,
            "volume": random.lognormal(6.0, 1.0, (rows, count)),
        }
        bars = np.stack([columns[name] for name in self.features.names], axis=2)
        return bars.reshape(rows, -1).astype(np.float32)
