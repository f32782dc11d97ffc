"""Statistics of all stored signals and positions.

The messages of the same names in the contract document units and denominators.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SignalCounts:
    """Numbers of stored signals, by action."""

    total: int
    buy: int
    sell: int
    hold: int
    simulated: int
    avg_latency_ms: float


@dataclass(frozen=True, slots=True)
class PositionCounts:
    """Numbers of stored positions, and the profit and loss of the closed ones, net of costs."""

    opened: int
    closed: int
    winning: int
    losing: int
    total_pnl: float
    total_pnl_account: float

    @property
    def active(self) -> int:
        """Number of open positions."""
        return self.opened - self.closed

    @property
    def avg_pnl(self) -> float:
        """Mean profit and loss of the closed positions, in quote currency for one unit; 0 if none is closed."""
        return self.total_pnl / self.closed if self.closed else 0.0

    @property
    def win_rate(self) -> float:
        """Share of the closed positions that won, in percent; 0 if none is closed."""
        return 100.0 * self.winning / self.closed if self.closed else 0.0


@dataclass(frozen=True, slots=True)
class Statistics:
    """All statistics, read in one snapshot."""

    signals: SignalCounts
    positions: PositionCounts
    bars_stored: int
    symbols: int
