"""Messages of the event log as the values that they were made of."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from google.protobuf.timestamp_pb2 import Timestamp

from tradingsignals.v1 import bar_pb2, event_pb2, position_pb2, signal_pb2

from ...application.ports.event_log import LogDecoders
from ...domain.bars import Bar
from ...domain.events import Disposition, MarketUpdate, TradingControl
from ...domain.indicators import Indicators
from ...domain.intervals import DEFAULT_INTERVAL, INTERVALS
from ...domain.positions import Exit, ExitReason, Position
from ...domain.signals import (
    Action,
    Decision,
    MarketRegime,
    Origin,
    Probabilities,
    Signal,
    TrendDirection,
    WinEstimate,
)


def time_of(sent: Timestamp) -> datetime:
    """Return a time in UTC, to the microsecond."""
    return datetime.fromtimestamp(sent.seconds, UTC) + timedelta(microseconds=sent.nanos // 1000)


def market_update_of(payload: bytes) -> MarketUpdate:
    """Return the bar in an entry of the log, and how it was taken. Whether it is simulated is not in the log."""
    message = event_pb2.MarketUpdate.FromString(payload)
    sent = message.bar
    interval = INTERVALS.get(sent.interval, DEFAULT_INTERVAL)
    prices = (sent.open, sent.high, sent.low, sent.close)
    bar = Bar(sent.symbol, time_of(sent.time), *prices, sent.volume, interval=interval)
    return MarketUpdate(bar, Disposition(bar_pb2.BarReceipt.Disposition.Name(message.disposition)))


def trading_control_of(payload: bytes) -> TradingControl:
    """Return the halt or resume of trading in an entry of the log."""
    sent = event_pb2.TradingControl.FromString(payload)
    return TradingControl(sent.halted, sent.reason, sent.by, time_of(sent.time))


def signal_of(payload: bytes) -> Signal:
    """Return the signal in an entry of the log. It lacks the two values of its indicators that messages do not have."""
    sent = signal_pb2.Signal.FromString(payload)
    timestamp = time_of(sent.timestamp)
    bar_time = time_of(sent.bar_time) if sent.HasField("bar_time") else None
    interval = DEFAULT_INTERVAL
    if bar_time is not None:
        interval = timestamp - bar_time - timedelta(seconds=sent.bar_age_seconds)
    shares, factors = sent.probabilities, sent.technical_factors
    return Signal(
        signal_id=UUID(sent.signal_id),
        timestamp=timestamp,
        symbol=sent.symbol,
        entry_price=sent.entry_price,
        decision=_decision_of(sent),
        probabilities=Probabilities(shares.hold, shares.buy, shares.sell),
        indicators=Indicators(**{field.name: value for field, value in factors.ListFields()}),
        origin=Origin(signal_pb2.Signal.Origin.Name(sent.origin)),
        model_version=sent.model_version,
        model_type=sent.model_type,
        simulated=sent.simulated,
        bar_time=bar_time,
        market_regime=MarketRegime(signal_pb2.Signal.MarketRegime.Name(sent.market_regime))
        if sent.HasField("market_regime")
        else None,
        trend_direction=TrendDirection(signal_pb2.Signal.TrendDirection.Name(sent.trend_direction))
        if sent.HasField("trend_direction")
        else None,
        model_failed=sent.model_failed,
        latency_ms=sent.latency_ms,
        bar_interval=interval,
        valid_until=time_of(sent.valid_until) if sent.HasField("valid_until") else None,
    )


def position_of(payload: bytes) -> Position:
    """Return the position in an entry of the log. It lacks trailing distance and session, which are not sent."""
    sent = position_pb2.Position.FromString(payload)
    closed = None
    if sent.HasField("exit_time"):
        reason = ExitReason(position_pb2.Position.ExitReason.Name(sent.exit_reason))
        by = UUID(sent.exit_signal_id) if sent.HasField("exit_signal_id") else None
        closed = Exit(time_of(sent.exit_time), sent.exit_price, reason, by)
    return Position(
        position_id=UUID(sent.position_id),
        signal_id=UUID(sent.signal_id),
        symbol=sent.symbol,
        action=Action(signal_pb2.Signal.Action.Name(sent.action)),
        entry_time=time_of(sent.entry_time),
        entry_price=sent.entry_price,
        stop_loss=sent.stop_loss,
        take_profit=sent.take_profit,
        initial_stop_loss=sent.initial_stop_loss,
        position_size=sent.position_size,
        simulated=sent.simulated,
        current_price=sent.current_price,
        costs=sent.costs,
        pnl=sent.current_pnl,
        pnl_pct=sent.current_pnl_pct,
        pnl_account=sent.current_pnl_account,
        r_multiple=sent.r_multiple,
        max_favorable_excursion=sent.max_favorable_excursion,
        max_adverse_excursion=sent.max_adverse_excursion,
        bars_held=sent.bars_held,
        exit=closed,
        sequence=sent.sequence,
    )


def _decision_of(sent: signal_pb2.Signal) -> Decision:
    win = None
    if sent.HasField("win_probability"):
        win = WinEstimate(sent.win_probability, sent.win_probability_cases)
    return Decision(
        action=Action(signal_pb2.Signal.Action.Name(sent.action)),
        confidence=sent.confidence,
        win=win,
        stop_loss=sent.stop_loss if sent.HasField("stop_loss") else None,
        take_profit=sent.take_profit if sent.HasField("take_profit") else None,
        risk_reward_ratio=sent.risk_reward_ratio if sent.HasField("risk_reward_ratio") else None,
        position_size=sent.position_size,
        reasoning=tuple(sent.reasoning),
    )


LOG_DECODERS = LogDecoders(market_update_of, position_of, trading_control_of)
"""What the store needs to read the log for the account."""
