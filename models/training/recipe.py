"""How a policy is trained: the numbers, all in one place."""

from __future__ import annotations

from dataclasses import dataclass

from tradingsignals_server.domain.costs import Charge, Charges
from tradingsignals_server.domain.risk import RiskRules

DEFAULT_SPREAD = "USDCOP=1.0,*=2bp"
"""What a round trip pays for the spread if --spread does not say it, as the setting SPREAD writes it.

One peso is 2.5 basis points at a price of 4,000: a round figure for the interbank market in its liquid hours, not a
measured one, for the data has no bid and no ask. Brokerage there is small beside it, so there is no commission. A
client of a bank pays several times as much; the model card shows what double the spread does. Two basis points for any
other symbol is what the service counts too; for a major currency pair it is several times too much.
"""


def rules_for(symbol: str, spread: str = DEFAULT_SPREAD) -> RiskRules:
    """The rules that policies of `symbol` are trained and judged by: the service's defaults, and a spread.

    spread: as the setting SPREAD, such as "0.9pip"; what names no symbol is that of this one.

    Raises:
        ValueError: it says none, in one line.
    """
    text = spread if "=" in spread else f"{symbol}={spread}"
    return RiskRules(spread=Charges(Charges.parse(text, Charge()).of(symbol)))


@dataclass(frozen=True, slots=True)
class Recipe:
    """One way to train. Seeds are apart from it.

    hidden_size: of the one LSTM layer, of the actor and of the critic each; head_size: of the tanh layer after it.
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
