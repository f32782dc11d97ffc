"""Features extractors of a user, which a zip names by their module. They need the extra `train`."""

from __future__ import annotations

from typing import Any

from .trained import sb3, torch

_Base: Any = sb3.common.torch_layers.BaseFeaturesExtractor


class DenseExtractor(_Base):  # type: ignore[misc] # the extra `train` has no types here
    """Two dense layers with a layer norm between them."""

    def __init__(self, observation_space: Any, features_dim: int = 6) -> None:
        super().__init__(observation_space, features_dim)
        self.layers = torch.nn.Sequential(
            torch.nn.Flatten(),
            torch.nn.Linear(int(observation_space.shape[-1]), 8),
            torch.nn.LayerNorm(8),
            torch.nn.GELU(),
            torch.nn.Linear(8, features_dim),
        )

    def forward(self, observations: Any) -> Any:
        """Return features of shape (batch, features_dim)."""
        return self.layers(observations)


class BarsExtractor(_Base):  # type: ignore[misc] # the extra `train` has no types here
    """Prices relative to the newest close, a convolution over the bars, and the mean over them."""

    def __init__(self, observation_space: Any, features_dim: int = 6) -> None:
        super().__init__(observation_space, features_dim)
        self.bars = torch.nn.Conv1d(4, features_dim, kernel_size=3)

    def forward(self, observations: Any) -> Any:
        """Return features of shape (batch, features_dim) of bars of shape (batch, bars, 5)."""
        # RecurrentPPO pads sequences with zeros.
        newest = observations[:, -1:, 3:4].clamp(min=1e-6)
        prices = 100.0 * (observations[:, :, :4] - newest) / newest
        return torch.tanh(self.bars(prices.transpose(1, 2))).mean(dim=2)
