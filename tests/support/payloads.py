"""The messages of the entries of the log, by kind, with their fields in Event."""

from __future__ import annotations

from typing import Any

from tradingsignals import Event, Outcome, Position, Signal
from tradingsignals.v1.event_pb2 import MarketUpdate, TradingControl

PAYLOADS: dict[str, tuple[str, Any]] = {
    "SIGNAL": ("signal", Signal),
    "MARKET_UPDATE": ("market_update", MarketUpdate),
    "POSITION_UPDATE": ("position_update", Position),
    "OUTCOME": ("outcome", Outcome),
    "TRADING_CONTROL": ("trading_control", TradingControl),
}


def events_of(rows: Any) -> list[Event]:
    """Return rows of the table `events` as a follower gets them."""
    found = []
    for row in rows:
        field, message = PAYLOADS[row["kind"]]
        event = Event(sequence=row["sequence"], **{field: message.FromString(row["payload"])})
        event.event_time.FromDatetime(row["time"])
        found.append(event)
    return found
