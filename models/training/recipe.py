"""The parameters of training, all in one place."""

from __future__ import annotations

from dataclasses import dataclass

from tradingsignals_server.domain.costs import Charge, Charges
from tradingsignals_server.domain.risk import RiskRules

DEFAULT_SPREAD = "USDCOP=1.0,*=2bp"
"""The spread of a round trip without --spread, in the format of the setting SPREAD.

One peso is 2.5 basis points at a price of 4,000: a round figure for the interbank market in its liquid hours, not a
measured one, because the data has no bid and no ask. Brokerage there is small in comparison, so there is no commission.
A client of a bank pays a multiple of it; the model card shows the result at double the spread. Two basis points for any
other symbol is also the service's default; for a major currency pair it is far too much.
"""


def rules_for(symbol: str, spread: str = DEFAULT_SPREAD) -> RiskRules:
    """The rules of training and evaluation for policies of `symbol`: the service's defaults, and a spread.

    spread: in the format of the setting SPREAD, such as "0.9pip"; an item without a symbol applies to this one.

    Raises:
        ValueError: it is not a spread; the message is one line.
    """
    text = spread if "=" in spread else f"{symbol}={spread}"
    return RiskRules(spread=Charges(Charges.parse(text, Charge()).of(symbol)))


@dataclass(frozen=True, slots=True)
class Recipe:
    """The parameters of one kind of training, without the seed.

    hidden_size: of the one LSTM layer of actor and critic each; head_size: of the tanh layer after it.
    imitation_epochs, imitation_rate, imitation_scale: see imitation.imitate_hindsight; no epochs: a cold start.
    The rest is RecurrentPPO's: rollouts of `environments` x 60 bars, which is a session each.
    """

    name: str
    hidden_size: int = 64
    head_size: int = 32
    imitation_epochs: int = 20
    imitation_rate: float = 1e-3
    imitation_scale: float = 1.4
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
