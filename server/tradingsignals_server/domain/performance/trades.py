"""Trades: what the statistics count. A HOLD is never one."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import date, datetime
from typing import Self

import numpy as np
import numpy.typing as npt

from ..signals import Action, Origin
from ..values import dataclass

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Trade:
    """A BUY or SELL that was followed to its resolution.

    symbol: normal form of the symbol.
    action: BUY or SELL.
    entry_time, exit_time: fills, with time zone; the exit is never before the entry.
    session_day: day of the session in which the trade was entered.
    size: fraction of the initial equity, >= 0.
    gross_pct, net_pct: profit without and with costs, in percent of the entry price.
    pnl: profit with costs, in account currency; 0 if the size is 0.
    r_multiple: profit with costs, in units of the distance from entry to the first stop.
    mfe_r, mae_r: largest excursions for and against the trade, in the same unit, >= 0, without costs.
    confidence: probability of the action, 0..1. win_probability: calibrated chance of a profit, 0..1, or None.
    model_version, origin: what made the signal. resolution: the rule that ended the trade, such as TARGET.

    Raises:
        ValueError: on construction, if a value is not one of these.
    """

    symbol: str
    action: Action
    entry_time: datetime
    exit_time: datetime
    session_day: date
    size: float
    gross_pct: float
    net_pct: float
    pnl: float
    r_multiple: float
    mfe_r: float
    mae_r: float
    confidence: float
    win_probability: float | None
    model_version: str
    origin: Origin
    resolution: str

    def __post_init__(self) -> None:
        if self.action is Action.HOLD:
            raise ValueError("a HOLD is no trade")
        if self.exit_time < self.entry_time:
            raise ValueError(f"a trade of {self.entry_time.isoformat()} cannot end at {self.exit_time.isoformat()}")
        numbers = (self.gross_pct, self.net_pct, self.pnl, self.r_multiple, self.mfe_r, self.mae_r, self.size)
        if not all(map(math.isfinite, numbers)) or min(self.size, self.mfe_r, self.mae_r) < 0.0:
            raise ValueError("the numbers of a trade are finite, its size and excursions are not negative")
        chances = (self.confidence, 0.0 if self.win_probability is None else self.win_probability)
        if not all(0.0 <= chance <= 1.0 for chance in chances):
            raise ValueError("confidence and win_probability are within 0..1")

    @property
    def won(self) -> bool:
        """Whether the trade made a profit after costs."""
        return bool(self.net_pct > 0.0)

    @property
    def lost(self) -> bool:
        """Whether the trade made a loss after costs. A trade that did neither broke even."""
        return bool(self.net_pct < 0.0)


def in_order_of_exit(trades: Iterable[Trade]) -> tuple[Trade, ...]:
    """Return the trades in the order of their exits; of equal exits in an order that does not depend on the input."""
    return tuple(sorted(trades, key=_order))


def _order(trade: Trade) -> tuple[datetime, datetime, str, str, str, str, float, float, float, float]:
    return (
        trade.exit_time,
        trade.entry_time,
        trade.symbol,
        trade.action.value,
        trade.model_version,
        trade.origin.value,
        trade.net_pct,
        trade.pnl,
        trade.r_multiple,
        trade.confidence,
    )


@dataclass(frozen=True, slots=True, eq=False)
class TradeColumns:
    """The trades as arrays of shape (trades,), in one order.

    `session` is the index of the trade's session among `session_days`, which are sorted. `win_probability` is NaN where
    a trade has none. `won` and `lost` are 1.0 or 0.0. The others are as in `Trade`.
    """

    session_days: tuple[date, ...]
    session: IntArray
    won: FloatArray
    lost: FloatArray
    size: FloatArray
    gross_pct: FloatArray
    net_pct: FloatArray
    pnl: FloatArray
    r_multiple: FloatArray
    mfe_r: FloatArray
    mae_r: FloatArray
    confidence: FloatArray
    win_probability: FloatArray

    @classmethod
    def of(cls, trades: tuple[Trade, ...]) -> Self:
        """Return the columns of `trades`, in their order."""
        days = tuple(sorted({trade.session_day for trade in trades}))
        index = {day: position for position, day in enumerate(days)}

        def column(values: Iterable[float]) -> FloatArray:
            return np.fromiter(values, np.float64, len(trades))

        net_pct = column(trade.net_pct for trade in trades)
        return cls(
            session_days=days,
            session=np.fromiter((index[trade.session_day] for trade in trades), np.int64, len(trades)),
            won=(net_pct > 0.0).astype(np.float64),
            lost=(net_pct < 0.0).astype(np.float64),
            size=column(trade.size for trade in trades),
            gross_pct=column(trade.gross_pct for trade in trades),
            net_pct=net_pct,
            pnl=column(trade.pnl for trade in trades),
            r_multiple=column(trade.r_multiple for trade in trades),
            mfe_r=column(trade.mfe_r for trade in trades),
            mae_r=column(trade.mae_r for trade in trades),
            confidence=column(trade.confidence for trade in trades),
            win_probability=column(
                math.nan if trade.win_probability is None else trade.win_probability for trade in trades
            ),
        )
