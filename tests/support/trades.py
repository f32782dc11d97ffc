"""Bars stored, and signals with the positions that they open, for tests of stores."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from uuid import UUID

from tests.support.builders import NOW, bar, position, signal

from tradingsignals_server.domain.events import Disposition, MarketUpdate
from tradingsignals_server.domain.positions import Exit, ExitReason, Position, close
from tradingsignals_server.domain.risk import RiskRules
from tradingsignals_server.domain.signals import Action, Signal

FIRST_POSITION = 1000
"""Offset from the number of a trade to the id of its position."""


def update(
    time: datetime | int,
    disposition: Disposition = Disposition.ACCEPTED,
    *,
    price: float = 100.0,
    symbol: str = "USDCOP",
) -> MarketUpdate:
    """Return a stored bar, at a time or of a number."""
    return MarketUpdate(bar(time, price, symbol=symbol), disposition)


def trade(number: int, symbol: str = "USDCOP", action: Action = Action.BUY) -> tuple[Signal, Position]:
    """Return a signal and the position that it opens."""
    opening = signal(action, name=number, symbol=symbol)
    opened = replace(
        position(action), position_id=UUID(int=FIRST_POSITION + number), signal_id=opening.signal_id, symbol=symbol
    )
    return opening, opened


def closed(opened: Position, price: float = 101.0, reason: ExitReason = ExitReason.MANUAL) -> Position:
    """Return the position, closed at a price."""
    return close(opened, Exit(NOW, price, reason), RiskRules())
