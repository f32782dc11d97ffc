"""What a report shows, as plain data: a backtest and a live period both fill it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from ..domain.performance.equity import EquityCurve
from ..domain.performance.figures import Figure
from ..domain.performance.summary import Performance
from ..domain.performance.trades import Trade
from ..domain.signals import Action
from ..domain.values import dataclass


@dataclass(frozen=True, slots=True)
class ReportFact:
    """A fact of the run, such as the hash of its bars. group: the heading under which it is shown."""

    group: str
    name: str
    value: str


@dataclass(frozen=True, slots=True)
class PriceBars:
    """The bars of one symbol as columns of one length, ascending by time.

    times: opens, in whole seconds since 1970. Prices are in quote currency.

    Raises:
        ValueError: on construction, if the lengths differ.
    """

    symbol: str
    interval: timedelta
    times: tuple[int, ...]
    open: tuple[float, ...]
    high: tuple[float, ...]
    low: tuple[float, ...]
    close: tuple[float, ...]

    def __post_init__(self) -> None:
        if {len(self.open), len(self.high), len(self.low), len(self.close)} != {len(self.times)}:
            raise ValueError("the columns of bars have one length")


@dataclass(frozen=True, slots=True)
class ReportTrade:
    """A closed trade with its prices, in quote currency. stop_loss: the first one. bars_held: bars until the exit."""

    trade: Trade
    entry_price: float
    exit_price: float
    stop_loss: float
    take_profit: float
    bars_held: int


@dataclass(frozen=True, slots=True)
class OpenTrade:
    """A position left open at the end, marked at `price`; it is in the equity and not in the statistics of trades.

    size: fraction of the initial equity. pnl: unrealised, with costs, in account currency.
    """

    symbol: str
    action: Action
    entry_time: datetime
    entry_price: float
    stop_loss: float
    take_profit: float
    size: float
    price: float
    pnl: float
    r_multiple: float


@dataclass(frozen=True, slots=True)
class RejectedSignals:
    """Signals that were not traded for one reason. example: the sentence of the newest, at `newest`."""

    reason: str
    count: int
    newest: datetime
    example: str


@dataclass(frozen=True, slots=True)
class ReportComparison:
    """What another way to trade made of the same bars. definition: what it does, in a sentence."""

    name: str
    definition: str
    figures: Mapping[str, Figure]
    equity: EquityCurve


@dataclass(frozen=True, slots=True)
class ReportData:
    """All that a report shows. The same data gives the same report.

    title: such as "Backtest". period: first and last bar, None without one.
    simulated: some bars do not come from a market. placeholder: decisions were made up, not those of a model.
    currency: of the account. signals: number of signals by action, HOLD included.
    trades: those that `performance` is of. rolling_sessions: window of the rolling Sharpe ratio.
    notes: what a reader must know besides, such as data that was left out.
    """

    title: str
    symbols: tuple[str, ...]
    period: tuple[datetime, datetime] | None
    simulated: bool
    placeholder: bool
    currency: str
    facts: tuple[ReportFact, ...]
    performance: Performance
    equity: EquityCurve | None
    prices: tuple[PriceBars, ...]
    trades: tuple[ReportTrade, ...]
    open_trades: tuple[OpenTrade, ...] = ()
    signals: Mapping[str, int] | None = None
    rejections: tuple[RejectedSignals, ...] = ()
    comparisons: tuple[ReportComparison, ...] = ()
    rolling_sessions: int = 63
    notes: tuple[str, ...] = ()
