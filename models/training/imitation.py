"""The warm start: a policy first learns to imitate hindsight, because PPO from random weights learns only to hold.

A round trip costs more than an ordinary edge, so for a policy that still acts at random every
trade is a loss, and it stops trading before it has learnt which ones pay.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sb3_contrib.common.recurrent.policies import RecurrentActorCriticPolicy

from .history import Session
from .outcomes import Outcomes
from .recipe import Recipe

SESSIONS_A_BATCH = 32


def logits_of(policy: RecurrentActorCriticPolicy, observations: torch.Tensor) -> torch.Tensor:
    """The actor's logits through whole sessions, from zeros: (bars, sessions, 16) to (bars, sessions, 3)."""
    remembered, _ = policy.lstm_actor(observations)
    logits: torch.Tensor = policy.action_net(policy.mlp_extractor.forward_actor(remembered))
    return logits


def side_by_side(values: npt.NDArray[Any], sessions: Sequence[Session]) -> torch.Tensor:
    """Rows of `values` at the bars of each session: (longest, sessions, ...), float32, zeros after a session's end."""
    laid = np.zeros((max(map(len, sessions)), len(sessions), *values.shape[1:]), dtype=np.float32)
    for column, session in enumerate(sessions):
        laid[: len(session), column] = values[session.first : session.last + 1]
    return torch.from_numpy(laid)


def imitate_hindsight(
    policy: RecurrentActorCriticPolicy,
    normalised: npt.NDArray[np.float32],
    outcomes: Outcomes,
    sessions: Sequence[Session],
    *,
    recipe: Recipe,
    seed: int,
) -> None:
    """Train the actor on soft labels from hindsight at each bar of `sessions`.

    The label is softmax([0, BUY, SELL] / scale) over the net profit and loss that each action would have led to, 0 for
    HOLD. The scale is imitation_scale times the standard deviation of those profits and losses, so that quiet and
    volatile symbols train alike. What cannot be predicted averages out, and the rest favours the side that paid,
    in proportion to its profit. `normalised`: observations of every bar, shape (bars, 16).
    """
    known = np.isfinite(outcomes.net_pct[:, :1] + outcomes.net_pct[:, 1:])
    worth = np.concatenate((np.zeros((len(known), 1)), np.nan_to_num(outcomes.net_pct)), axis=1)
    observations = side_by_side(normalised, sessions)
    learnt = np.concatenate([outcomes.net_pct[session.first : session.last + 1] for session in sessions])
    scale = recipe.imitation_scale * float(np.nanstd(learnt))
    target = torch.softmax(side_by_side(worth, sessions) / scale, dim=-1)
    weight = side_by_side(known, sessions)[..., 0]
    actor = (policy.lstm_actor, policy.mlp_extractor.policy_net, policy.action_net)
    optimizer = torch.optim.AdamW([p for part in actor for p in part.parameters()], lr=recipe.imitation_rate)
    dice = torch.Generator().manual_seed(seed)
    for _ in range(recipe.imitation_epochs):
        for columns in torch.randperm(len(sessions), generator=dice).split(SESSIONS_A_BATCH):
            log_probabilities = torch.log_softmax(logits_of(policy, observations[:, columns]), dim=-1)
            cross_entropy = -(target[:, columns] * log_probabilities).sum(dim=-1)
            loss = (cross_entropy * weight[:, columns]).sum() / weight[:, columns].sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
