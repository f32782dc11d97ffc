"""How a policy is trained: the numbers, all in one place."""

from __future__ import annotations

from dataclasses import dataclass

from tradingsignals_server.domain.costs import Charges
from tradingsignals_server.domain.risk import RiskRules

RULES = RiskRules(spread=Charges.flat(1.0))
"""The rules that policies are trained and judged by: the service's defaults, and a spread of 1 peso.

At a price of 4,000 that is 2.5 basis points: a round figure for the interbank market in its liquid hours, not a
measured one, for the data has no bid and no ask. Brokerage there is small beside it, so COMMISSION_PCT stays 0. A
client of a bank pays several times as much; the model card shows what double the spread does.
"""


@dataclass(frozen=True, slots=True)
class Recipe:
    """One way to train. Seeds are apart from it.

    hidden_size: of the one LSTM layer, of the actor and of the critic each; head_size: of the tanh layer after it.
    imitation_epochs, imitation_rate, imitation_pct: see imitation.imitate_hindsight; no epochs: a cold start.
    The rest is RecurrentPPO's: rollouts of `environments` x 60 bars, which is a session each.
    """

    name: str
    hidden_size: int = 64
    head_size: int = 32
    imitation_epochs: int = 20
    imitation_rate: float = 1e-3
    imitation_pct: float = 0.3
    timesteps: int = 192_000
    environments: int = 128
    minibatch: int = 1920
    epochs: int = 4
    learning_rate: float = 1e-4
    gamma: float = 0.97
    gae_lambda: float = 0.95
    entropy: float = 0.003


STEPS = 60
"""Bars of a rollout in each environment."""

RECIPES = (
    Recipe("warm-64"),
    Recipe("warm-128", hidden_size=128, imitation_epochs=15),
    Recipe("cold-64", imitation_epochs=0),
)
