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

LEAST_WORTH = 1.0
"""What a side is worth beside its profit where a policy is to take it, in standard deviations of the profits."""


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

    observations: normalised, (bars, sessions, n). worth: net profit and loss of HOLD, which is 0, BUY and SELL, in
    standard deviations of all of them, (bars, sessions, 3). known: 1 where that is known, else 0, (bars, sessions).
    """

    observations: torch.Tensor
    worth: torch.Tensor
    known: torch.Tensor

    @classmethod
    def of(cls, normalised: npt.NDArray[np.float32], outcomes: Outcomes, sessions: Sequence[Session]) -> Hindsight:
        """Hindsight at each bar of `sessions`, in standard deviations, so that quiet and volatile symbols train alike.

        Args:
            normalised: observations of every bar, shape (bars, n).
            outcomes: at least over `sessions`.
            sessions: those to learn from.
        """
        known: npt.NDArray[np.bool_] = np.isfinite(outcomes.net_pct.sum(axis=1))
        learnt = np.concatenate([outcomes.net_pct[session.first : session.last + 1] for session in sessions])
        traded = np.nan_to_num(outcomes.net_pct) / float(np.nanstd(learnt))
        worth = np.concatenate((np.zeros((len(known), 1)), traded), axis=1)
        return cls(
            side_by_side(normalised, sessions),
            side_by_side(worth, sessions),
            side_by_side(known, sessions),
        )


Loss = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""The loss at each bar, of log probabilities and worth of the actions, both (bars, sessions, 3), and what is known."""


def imitate_hindsight(policy: RecurrentActorCriticPolicy, hindsight: Hindsight, variant: Variant, seed: int) -> None:
    """Train the actor on soft labels: softmax(worth / imitation_scale).

    What cannot be predicted averages out, and the rest favours the side that paid, in proportion to its profit.
    """

    def cross_entropy(log_probabilities: torch.Tensor, worth: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
        return -(torch.softmax(worth / variant.imitation_scale, dim=-1) * log_probabilities).sum(dim=-1)

    _learn(policy, hindsight, cross_entropy, variant.imitation_epochs, variant.imitation_rate, seed)


def seek_profit(policy: RecurrentActorCriticPolicy, hindsight: Hindsight, variant: Variant, seed: int) -> None:
    """Train the actor to make the most of hindsight, but to take each side on a fraction `least_side` of the bars.

    The loss is the expected net loss by the policy's own probabilities. It is linear in them, so where one action is
    better on average, the policy becomes sure of it: the policy gradient with the results of all actions known.

    Alone it teaches a policy that finds no edge to hold everywhere. The most profitable policy that takes a side on
    a given fraction of the bars takes it where it expects most of it, whatever that is; so on the bars of a batch on
    which the policy prefers a side most, that side is worth LEAST_WORTH more than it made. The policy's profit decides
    which bars those are: where the side loses, its probability falls, and others take their place.
    """

    def expected_loss(log_probabilities: torch.Tensor, worth: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
        probabilities = log_probabilities.exp()
        return -(probabilities * (worth + LEAST_WORTH * preferred(probabilities, known, variant.least_side))).sum(-1)

    _learn(policy, hindsight, expected_loss, variant.profit_epochs, variant.imitation_rate, seed)


def preferred(probabilities: torch.Tensor, known: torch.Tensor, fraction: float) -> torch.Tensor:
    """Mark with 1 the `fraction` of the known bars on which a side has its highest probabilities, by side; else 0.

    Shapes: probabilities and result (bars, sessions, 3), known (bars, sessions). HOLD is never marked.
    """
    marks = torch.zeros_like(probabilities)
    if fraction > 0.0:
        for side in range(1, marks.shape[-1]):
            of_side = probabilities.detach()[..., side]
            marks[..., side] = of_side >= torch.quantile(of_side[known > 0.0], 1.0 - fraction)
    return marks


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
            losses = loss_of(log_probabilities, hindsight.worth[:, columns], known)
            loss = (losses * known).sum() / known.sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
