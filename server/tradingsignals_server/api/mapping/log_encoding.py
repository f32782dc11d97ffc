"""Events as the messages that the log keeps and followers receive."""

from __future__ import annotations

from ...domain.events import Event, MarketUpdate, TradingControl
from ...domain.outcomes import Outcome
from ...domain.positions import Position
from ...domain.signals import Signal
from .outcomes_to_proto import outcome_message
from .to_proto import market_update_message, position_message, signal_message, trading_control_message


def encode(event: Event, sequence: int) -> bytes:
    """An event at its place in the log, serialised. Implements application.ports.Encode."""
    match event:
        case Signal():
            return signal_message(event, sequence).SerializeToString()
        case Position():
            return position_message(event, sequence).SerializeToString()
        case MarketUpdate():
            return market_update_message(event).SerializeToString()
        case Outcome():
            return outcome_message(event).SerializeToString()
        case TradingControl():
            return trading_control_message(event).SerializeToString()
