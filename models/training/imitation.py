"""The warm start: a policy first learns from hindsight, because PPO from random weights learns only to hold.

A round trip costs more than an ordinary edge, so for a policy that still acts at random every
trade is a loss, and it stops trading before it has learnt which ones pay.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sb3_contrib.common.recurrent.policies import RecurrentActorCriticPolicy

from .history import Session
from .outcomes import Outcomes
from .recipe import Variant

SESSIONS_A_BATCH = 32


def logits_of(policy: RecurrentActorCriticPolicy, observations: torch.Tensor) -> torch.Tensor:
    """The actor's logits through whole sessions, from zeros: (bars, sessions, n) to (bars, sessions, 3)."""
    remembered, _ = policy.lstm_actor(observations)
    logits: torch.Tensor = policy.action_net(policy.mlp_extractor.forward_actor(remembered))
    return logits


def side_by_side(values: npt.NDArray[Any], sessions: Sequence[Session]) -> torch.Tensor:
    """Rows of `values` at the bars of each session: (longest, sessions, ...), float32, zeros after a session's end."""
    laid = np.zeros((max(map(len, sessions)), len(sessions), *values.shape[1:]), dtype=np.float32)
    for column, session in enumerate(sessions):
        laid[: len(session), column] = values[session.first : session.last + 1]
    return torch.from_numpy(laid)


@dataclass(frozen=True, slots=True)
class Hindsight:
    """What each action would have led to, by session: see `side_by_side` for the first two axes of each tensor.

    observations: normalised, (bars, sessions, n). worth: net profit and loss of HOLD (less than 0 by its cost), BUY and
    SELL, in standard deviations of all of them, (bars, sessions, 3). known: 1 where that is known, else 0, (bars,
    sessions).
    """

    observations: torch.Tensor
    worth: torch.Tensor
    known: torch.Tensor

    @classmethod
    def of(
        cls,
        normalised: npt.NDArray[np.float32],
        outcomes: Outcomes,
        sessions: Sequence[Session],
        idle_cost: float = 0.0,
    ) -> Hindsight:
        """Hindsight at each bar of `sessions`, in standard deviations, so that quiet and volatile symbols train alike.

        Args:
            normalised: observations of every bar, shape (bars, n).
            outcomes: at least over `sessions`.
            sessions: those to learn from.
            idle_cost: what HOLD costs, in standard deviations.
        """
        known: npt.NDArray[np.bool_] = np.isfinite(outcomes.net_pct.sum(axis=1))
        learnt = np.concatenate([outcomes.net_pct[session.first : session.last + 1] for session in sessions])
        traded = np.nan_to_num(outcomes.net_pct) / float(np.nanstd(learnt))
        worth = np.concatenate((np.full((len(known), 1), -idle_cost), traded), axis=1)
        return cls(
            side_by_side(normalised, sessions),
            side_by_side(worth, sessions),
            side_by_side(known, sessions),
        )


Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""The loss at each bar, of log probabilities and worth of the actions, both (bars, sessions, 3)."""


def imitate_hindsight(policy: RecurrentActorCriticPolicy, hindsight: Hindsight, variant: Variant, seed: int) -> None:
    """Train the actor on soft labels: softmax(worth / imitation_scale).

    What cannot be predicted averages out, and the rest favours the side that paid, in proportion to its profit.
    """

    def cross_entropy(log_probabilities: torch.Tensor, worth: torch.Tensor) -> torch.Tensor:
        return -(torch.softmax(worth / variant.imitation_scale, dim=-1) * log_probabilities).sum(dim=-1)

    _learn(policy, hindsight, cross_entropy, variant.imitation_epochs, variant.imitation_rate, seed)


def seek_profit(policy: RecurrentActorCriticPolicy, hindsight: Hindsight, variant: Variant, seed: int) -> None:
    """Train the actor to make the most of hindsight: the loss is the expected net loss by its own probabilities.

    It is linear in the probabilities, so where one action is better on average, the policy becomes sure of it. That is
    the policy gradient with the results of all actions known, instead of that of one.
    """

    def expected_loss(log_probabilities: torch.Tensor, worth: torch.Tensor) -> torch.Tensor:
        return -(log_probabilities.exp() * worth).sum(dim=-1)

    _learn(policy, hindsight, expected_loss, variant.profit_epochs, variant.imitation_rate, seed)


def _learn(
    policy: RecurrentActorCriticPolicy, hindsight: Hindsight, loss_of: Loss, epochs: int, rate: float, seed: int
) -> None:
    actor = (policy.lstm_actor, policy.mlp_extractor.policy_net, policy.action_net)
    optimizer = torch.optim.AdamW([p for part in actor for p in part.parameters()], lr=rate)
    dice = torch.Generator().manual_seed(seed)
    for _ in range(epochs):
        for columns in torch.randperm(hindsight.known.shape[1], generator=dice).split(SESSIONS_A_BATCH):
            known = hindsight.known[:, columns]
            log_probabilities = torch.log_softmax(logits_of(policy, hindsight.observations[:, columns]), dim=-1)
            loss = (loss_of(log_probabilities, hindsight.worth[:, columns]) * known).sum() / known.sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
