"""Signals: the output of the policy, the decision that the rules made of it, and the reasoning."""

from __future__ import annotations

from dataclasses import field
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import NAMESPACE_URL, UUID, uuid5

from .indicators import Indicators
from .intervals import DEFAULT_INTERVAL
from .values import dataclass

FLOAT32_PRECISION = 2.0**-24
"""Largest relative error of rounding a number to float32."""

_NAMESPACE = uuid5(NAMESPACE_URL, "tradingsignals.v1.Signal")


class Action(StrEnum):
    """Actions of a signal. Names are those of tradingsignals.v1.Signal.Action."""

    BUY = "BUY"
    SELL = "SELL"
    HOLD = "HOLD"

    @property
    def direction(self) -> int:
        """+1 for BUY, -1 for SELL, 0 for HOLD: the sign of the profit when the price rises."""
        return _DIRECTIONS[self]

    @property
    def opposite(self) -> Action:
        """SELL for BUY, BUY for SELL, HOLD for HOLD."""
        return _OPPOSITES[self]


_DIRECTIONS = {Action.BUY: 1, Action.SELL: -1, Action.HOLD: 0}
_OPPOSITES = {Action.BUY: Action.SELL, Action.SELL: Action.BUY, Action.HOLD: Action.HOLD}


class Origin(StrEnum):
    """What caused a signal. Names are those of tradingsignals.v1.Signal.Origin."""

    BAR = "BAR"
    REQUEST = "REQUEST"
    DATABASE = "DATABASE"


class MarketRegime(StrEnum):
    """Regimes of the market."""

    TRENDING = "TRENDING"
    RANGING = "RANGING"
    VOLATILE = "VOLATILE"


class TrendDirection(StrEnum):
    """Directions of the trend: the sign of EMA 20 less EMA 50."""

    UP = "UP"
    DOWN = "DOWN"
    SIDEWAYS = "SIDEWAYS"


@dataclass(frozen=True, slots=True)
class Probabilities:
    """Output of a policy before any rule: finite probabilities, 0..1 each, with a sum of 1 within 1e-3.

    Raises:
        ValueError: on construction, if they are not.
    """

    hold: float
    buy: float
    sell: float

    def __post_init__(self) -> None:
        within = 0.0 <= self.hold <= 1.0 and 0.0 <= self.buy <= 1.0 and 0.0 <= self.sell <= 1.0
        if not (within and abs(self.hold + self.buy + self.sell - 1.0) <= 1e-3):
            raise ValueError(f"not probabilities: hold={self.hold}, buy={self.buy}, sell={self.sell}")

    def choice(self) -> tuple[Action, float]:
        """Return the most probable action and its probability. In a tie HOLD comes first, then BUY."""
        action, best = Action.HOLD, self.hold
        if self.buy > best:
            action, best = Action.BUY, self.buy
        if self.sell > best:
            action, best = Action.SELL, self.sell
        return action, best


@dataclass(frozen=True, slots=True)
class WinEstimate:
    """Calibrated chance that a position ends with a profit after costs, 0..1, and the number of cases behind it."""

    probability: float
    cases: int


@dataclass(frozen=True, slots=True)
class Decision:
    """Result of the rules: BUY or SELL with stop and target (quote currency), or HOLD without them, and the reasoning.

    `confidence` is the probability that the policy gave the action it chose, and `win` the chance that the position
    of that action ends with a profit; both also if a rule turned the choice into HOLD. `win` is None if the policy
    chose HOLD, and where its model is not calibrated. `position_size` is a fraction of equity, 0 for HOLD.
    """

    action: Action
    confidence: float
    win: WinEstimate | None = None
    stop_loss: float | None = None
    take_profit: float | None = None
    risk_reward_ratio: float | None = None
    position_size: float = 0.0
    reasoning: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Signal:
    """One decision for one symbol at `timestamp` (UTC), at `entry_price` in quote currency.

    `bar_time` is the open of the newest bar that was used, None if there was none. `latency_ms` is the time spent on
    features, inference and rules. `model_failed` is true if the output of the model was not finite: the action is then
    HOLD, and the recurrent state was reset. `bar_interval` is the interval of the bars. Before `valid_until` it may be
    acted on; None if an earlier version made it.
    """

    signal_id: UUID
    timestamp: datetime
    symbol: str
    entry_price: float
    decision: Decision
    probabilities: Probabilities
    indicators: Indicators
    origin: Origin
    model_version: str
    model_type: str
    simulated: bool
    bar_time: datetime | None = None
    market_regime: MarketRegime | None = None
    trend_direction: TrendDirection | None = None
    model_failed: bool = False
    latency_ms: float = field(default=0.0, compare=False)
    bar_interval: timedelta = DEFAULT_INTERVAL
    valid_until: datetime | None = None

    @property
    def action(self) -> Action:
        """Action of the decision."""
        return self.decision.action

    @property
    def bar_age(self) -> timedelta | None:
        """Time from the close of the newest bar that was used to `timestamp`; None without a bar."""
        return None if self.bar_time is None else self.timestamp - self.bar_time - self.bar_interval


def reached_from(threshold: float) -> float:
    """Return the lowest probability that passes `threshold`: models give float32, in which 0.65 is 0.6499999762."""
    return threshold * (1.0 - FLOAT32_PRECISION)


def bar_signal_id(symbol: str, bar_time: datetime, model: str) -> UUID:
    """Return the id of the signal of a bar: the same bar and model always give the same id.

    `model` identifies the file (PolicyDescription.key): two files of one version are two models.
    """
    return uuid5(_NAMESPACE, f"{symbol}|{bar_time.isoformat()}|{model}")
