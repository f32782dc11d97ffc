"""Symbols with the newest of each as messages of the contract."""

from __future__ import annotations

from collections.abc import Sequence

from tradingsignals.v1 import market_data_service_pb2 as pb
from tradingsignals.v1 import symbol_pb2

from ...application.ports.store import PositionSummary, SignalSummary, SymbolPage, SymbolSummary
from ...domain.intervals import IntervalOf, interval_name
from .to_proto import timestamp


def symbols_answer(page: SymbolPage, token: str, closes: int, interval_of: IntervalOf) -> pb.ListSymbolsResponse:
    """A page of symbols, with `closes` of the closes of each; those without a bar have the interval of the settings."""
    return pb.ListSymbolsResponse(
        symbols=[
            _symbol_summary(
                found,
                found.closes[-closes:] if closes else (),
                interval_name(found.interval or interval_of(found.symbol)),
            )
            for found in page.symbols
        ],
        count=len(page.symbols),
        next_page_token=token,
        through_sequence=page.through_sequence,
    )


def _symbol_summary(found: SymbolSummary, closes: Sequence[float], interval: str) -> symbol_pb2.SymbolSummary:
    last = found.last_bar_time
    return symbol_pb2.SymbolSummary(
        symbol=found.symbol,
        interval=interval,
        last_bar_time=None if last is None else timestamp(last),
        last_close=found.closes[-1] if found.closes else None,
        closes=closes,
        latest_signal=None if found.signal is None else _signal_summary(found.signal),
        open_position=None if found.position is None else _position_summary(found.position),
        simulated=found.simulated,
    )


def _signal_summary(signal: SignalSummary) -> symbol_pb2.SignalSummary:
    return symbol_pb2.SignalSummary(
        signal_id=str(signal.signal_id),
        sequence=signal.sequence,
        action=signal.action.value,
        confidence=signal.confidence,
        timestamp=timestamp(signal.timestamp),
        bar_time=None if signal.bar_time is None else timestamp(signal.bar_time),
    )


def _position_summary(position: PositionSummary) -> symbol_pb2.PositionSummary:
    return symbol_pb2.PositionSummary(
        position_id=str(position.position_id), action=position.action.value, current_pnl_pct=position.pnl_pct
    )
