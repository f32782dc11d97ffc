"""What a backtest found, as plain data: a report, a table and a message are made from it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from ...domain.outcomes import Outcome
from ...domain.performance.equity import EquityCurve
from ...domain.performance.figures import Figure
from ...domain.performance.summary import Performance
from ...domain.positions import Position
from ...domain.signals import Action
from ...domain.values import dataclass


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """The policy that decided: see PolicyDescription. `key` names the very file, `sha256` is None without a file."""

    name: str
    version: str
    type: str
    key: str
    sha256: str | None
    training_range: tuple[datetime, datetime] | None


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What a result depends on. Two runs with equal hashes give equal results.

    source: where the bars came from, for people.
    symbols: sorted. first_bar, last_bar: opens of the first and the last bar that was processed.
    bars: bars given, those before `first_bar` that only warmed up not counted.
    bars_sha256: hash of all bars given, those that warmed up included, in their order.
    settings: settings of rules and costs by their names in capitals, as text. settings_sha256: their hash.
    version: of the service.
    """

    source: str
    symbols: tuple[str, ...]
    first_bar: datetime
    last_bar: datetime
    bars: int
    warm_up_bars: int
    bars_sha256: str
    model: ModelFacts
    settings: Mapping[str, str]
    settings_sha256: str
    seed: int
    version: str


@dataclass(frozen=True, slots=True)
class RefusedBar:
    """A bar that was refused, as a live service refuses it, and why."""

    symbol: str
    time: datetime
    problem: str


@dataclass(frozen=True, slots=True)
class TradedSignal:
    """A BUY or SELL: see Signal. `opened`: it opened a position."""

    signal_id: UUID
    timestamp: datetime
    symbol: str
    action: Action
    confidence: float
    win_probability: float | None
    entry_price: float
    stop_loss: float
    take_profit: float
    position_size: float
    opened: bool
    reasoning: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rejection:
    """Choices of the policy that were not traded, by the rule that stopped them.

    rule: the sentence of the reasoning, with its numbers left out. example: the sentence of the one at `newest`.
    """

    rule: str
    count: int
    newest: datetime
    example: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """What another way to trade made of the same bars, with the same rules, costs and sizes.

    name: "buy and hold", "coin" or "moving average cross". definition: what it does, in a sentence.
    figures: those of domain.performance.
    equity: by bar.
    """

    name: str
    definition: str
    figures: Mapping[str, Figure]
    equity: EquityCurve


@dataclass(frozen=True, slots=True)
class BarCounts:
    """Bars by what became of them; their sum is the number of bars given."""

    accepted: int = 0
    warming_up: int = 0
    outside_session: int = 0
    other_interval: int = 0
    duplicate: int = 0
    refused: int = 0


@dataclass(frozen=True, slots=True)
class BacktestResult:
    """The result of one run.

    actions: signals by action, HOLD included.
    signals: every BUY and SELL, the first `kept` of them; `signal_count` has all.
    positions: closed ones, in the order of their exits. open_positions: those left open, marked at the last bar.
    outcomes: of every BUY and SELL that was resolved, for each fill, in the order in which they were.
    equity: by bar, None without a bar in a session.
    refused_bars: the first ones. rejections: by rule, the most frequent first.
    seconds: processor time of the run.
    """

    facts: RunFacts
    bars: BarCounts
    refused_bars: tuple[RefusedBar, ...]
    actions: Mapping[str, int]
    signals: tuple[TradedSignal, ...]
    positions: tuple[Position, ...]
    open_positions: tuple[Position, ...]
    outcomes: tuple[Outcome, ...]
    left_out: int
    equity: EquityCurve | None
    performance: Performance
    rejections: tuple[Rejection, ...]
    comparisons: tuple[Comparison, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class BacktestProgress:
    """How far a run is. `through` is the open of the newest bar; `equity` is in account currency."""

    bars: int
    total_bars: int
    through: datetime
    signals: int
    closed_positions: int
    equity: float
