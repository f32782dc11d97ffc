"""Counts over all that is stored. Units and denominators stand with the messages of the same names in the contract."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SignalCounts:
    """Signals stored, by action."""

    total: int
    buy: int
    sell: int
    hold: int
    simulated: int
    avg_latency_ms: float


@dataclass(frozen=True, slots=True)
class PositionCounts:
    """Positions stored, and what the closed ones came to, net of costs."""

    opened: int
    closed: int
    winning: int
    losing: int
    total_pnl: float
    total_pnl_account: float

    @property
    def active(self) -> int:
        """Positions open now."""
        return self.opened - self.closed

    @property
    def avg_pnl(self) -> float:
        """Mean profit and loss of the closed positions, in price; 0 if none is closed."""
        return self.total_pnl / self.closed if self.closed else 0.0

    @property
    def win_rate(self) -> float:
        """Winning of all closed positions, in percent; 0 if none is closed."""
        return 100.0 * self.winning / self.closed if self.closed else 0.0


@dataclass(frozen=True, slots=True)
class Statistics:
    """All counts, read in one snapshot."""

    signals: SignalCounts
    positions: PositionCounts
    bars_stored: int
    symbols: int
