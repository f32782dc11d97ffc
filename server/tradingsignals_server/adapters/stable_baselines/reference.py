"""The decisions of a policy in torch, which an exported one must agree with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import torch
from stable_baselines3.common.vec_env import VecNormalize

from .kinds import parts_of
from .policy import TrainedPolicy
from .statistics import normalised

Float32 = npt.NDArray[np.float32]


class TorchReference:
    """The policy in torch, behind the normalisation of VecNormalize: the reference for an exported policy."""

    def __init__(self, policy: TrainedPolicy, statistics: VecNormalize | None) -> None:
        self._policy = policy
        self._statistics = statistics if statistics is not None and statistics.norm_obs else None

    @property
    def state_shape(self) -> tuple[int, int]:
        """Layers and size of the recurrent state, both 0 without one."""
        lstm = parts_of(self._policy.network).lstm
        return (0, 0) if lstm is None else (lstm.num_layers, lstm.hidden_size)

    def decide(
        self, observations: Float32, hidden: Float32, cell: Float32, begins: npt.NDArray[np.bool_]
    ) -> tuple[Float32, Float32, Float32]:
        """Return the probabilities or values of the n actions, shape (rows, n), and the next states.

        Args:
            observations: shape (rows, size), raw.
            hidden: hidden states, shape (rows, layers, size).
            cell: cell states, shape (rows, layers, size).
            begins: shape (rows,), true where the states are reset to zeros first.
        """
        if self._statistics is not None:
            observations = normalised(self._statistics, observations)
        seen = torch.from_numpy(observations.reshape(-1, *self._policy.spaces.observation.shape))
        with torch.no_grad():
            if not self._policy.kind.recurrent:
                return self._outputs(seen), hidden, cell
            states = tuple(torch.from_numpy(state.swapaxes(0, 1).copy()) for state in (hidden, cell))
            distribution, (hidden_next, cell_next) = self._policy.network.get_distribution(
                seen, states, torch.from_numpy(begins.astype(np.float32))
            )
            return (
                self._probabilities(distribution),
                hidden_next.numpy().swapaxes(0, 1),
                cell_next.numpy().swapaxes(0, 1),
            )

    def _outputs(self, seen: torch.Tensor) -> Float32:
        network = self._policy.network
        match self._policy.kind.type:
            case "DQN":
                values = network.q_net(seen)
            case "QRDQN":
                values = network.quantile_net(seen).mean(dim=1)
            case _:
                return self._probabilities(network.get_distribution(seen))
        made: Float32 = values.numpy()
        return made

    def _probabilities(self, distribution: torch.distributions.Distribution) -> Float32:
        """Return the probabilities of the branch that is the action."""
        # The distributions of several branches are a list, which the maskable ones have under another name.
        found = getattr(distribution, "distributions", None) or distribution.distribution
        branches = found if isinstance(found, list) else [found]
        first = 0
        for branch in branches:
            if first == self._policy.columns.start:
                made: Float32 = branch.probs.numpy()
                return made
            first += branch.probs.shape[-1]
        raise AssertionError("the columns are those of a branch")


@contextmanager
def one_thread() -> Iterator[None]:
    """Restrict torch to one thread; for networks of this size more threads only add overhead."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
