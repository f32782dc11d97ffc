"""Values of the domain as messages of the contract."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from tradingsignals.v1 import (
    bar_pb2,
    event_pb2,
    market_data_service_pb2,
    model_pb2,
    position_pb2,
    signal_pb2,
    statistics_pb2,
    system_service_pb2,
)

from ...application.decision.trader import Trader
from ...application.health import Health
from ...application.ports.policy import TensorShape
from ...application.ports.store import ShadowScore
from ...domain.bars import Bar
from ...domain.calibration import WinCalibration
from ...domain.errors import ServiceError
from ...domain.events import MarketUpdate, Receipt, TradingControl
from ...domain.indicators import Indicators
from ...domain.intervals import Intervals, interval_name
from ...domain.positions import ExitReason, Position
from ...domain.risk import RiskRules
from ...domain.signals import Action, MarketRegime, Origin, Signal, TrendDirection
from ...domain.statistics import Statistics
from ...domain.symbols import EVERY_OTHER
from ...transport.grpc.bounds import MAX_MESSAGE_BYTES, MAX_QUOTED, cut

_ACTIONS: Mapping[Action, Any] = {action: signal_pb2.Signal.Action.Value(action) for action in Action}
_ORIGINS: Mapping[Origin, Any] = {origin: signal_pb2.Signal.Origin.Value(origin) for origin in Origin}
_REGIMES: Mapping[MarketRegime, Any] = {r: signal_pb2.Signal.MarketRegime.Value(r) for r in MarketRegime}
_TRENDS: Mapping[TrendDirection, Any] = {t: signal_pb2.Signal.TrendDirection.Value(t) for t in TrendDirection}
_EXIT_REASONS: Mapping[ExitReason, Any] = {r: position_pb2.Position.ExitReason.Value(r) for r in ExitReason}
_DISPOSITIONS: Mapping[str, Any] = dict(bar_pb2.BarReceipt.Disposition.items())


def signal_message(signal: Signal, sequence: int) -> signal_pb2.Signal:
    """A signal at its place in the log."""
    decision, probabilities = signal.decision, signal.probabilities
    return signal_pb2.Signal(
        signal_id=str(signal.signal_id),
        timestamp=timestamp(signal.timestamp),
        symbol=signal.symbol,
        action=_ACTIONS[decision.action],
        confidence=decision.confidence,
        entry_price=signal.entry_price,
        stop_loss=decision.stop_loss,
        take_profit=decision.take_profit,
        position_size=decision.position_size,
        risk_reward_ratio=decision.risk_reward_ratio,
        model_version=signal.model_version,
        reasoning=decision.reasoning,
        latency_ms=signal.latency_ms,
        model_type=signal.model_type,
        technical_factors=_technical_factors(signal.indicators),
        market_regime=None if signal.market_regime is None else _REGIMES[signal.market_regime],
        trend_direction=None if signal.trend_direction is None else _TRENDS[signal.trend_direction],
        bar_time=None if signal.bar_time is None else timestamp(signal.bar_time),
        sequence=sequence,
        simulated=signal.simulated,
        probabilities=signal_pb2.ActionProbabilities(
            hold=probabilities.hold, buy=probabilities.buy, sell=probabilities.sell
        ),
        origin=_ORIGINS[signal.origin],
        model_failed=signal.model_failed,
        bar_age_seconds=None if signal.bar_age is None else signal.bar_age.total_seconds(),
        win_probability=None if decision.win is None else decision.win.probability,
        win_probability_cases=None if decision.win is None else decision.win.cases,
        valid_until=None if signal.valid_until is None else timestamp(signal.valid_until),
    )


def _technical_factors(found: Indicators) -> signal_pb2.TechnicalFactors:
    return signal_pb2.TechnicalFactors(
        rsi=found.rsi,
        macd=found.macd,
        macd_signal=found.macd_signal,
        macd_histogram=found.macd_histogram,
        bb_upper=found.bb_upper,
        bb_middle=found.bb_middle,
        bb_lower=found.bb_lower,
        ema_20=found.ema_20,
        ema_50=found.ema_50,
        atr=found.atr,
        volatility=found.volatility,
    )


def position_message(position: Position, sequence: int) -> position_pb2.Position:
    """A position after the change at this place in the log."""
    ended = position.exit
    status = position_pb2.Position.OPEN if ended is None else position_pb2.Position.CLOSED
    return position_pb2.Position(
        position_id=str(position.position_id),
        signal_id=str(position.signal_id),
        symbol=position.symbol,
        action=_ACTIONS[position.action],
        entry_time=timestamp(position.entry_time),
        entry_price=position.entry_price,
        stop_loss=position.stop_loss,
        take_profit=position.take_profit,
        position_size=position.position_size,
        current_pnl=position.pnl,
        current_pnl_pct=position.pnl_pct,
        status=status,
        exit_time=None if ended is None else timestamp(ended.time),
        exit_price=None if ended is None else ended.price,
        exit_reason=None if ended is None else _EXIT_REASONS[ended.reason],
        exit_signal_id=None if ended is None or ended.signal_id is None else str(ended.signal_id),
        current_price=position.current_price,
        current_pnl_account=position.pnl_account,
        costs=position.costs,
        max_favorable_excursion=position.max_favorable_excursion,
        max_adverse_excursion=position.max_adverse_excursion,
        r_multiple=position.r_multiple,
        initial_stop_loss=position.initial_stop_loss,
        bars_held=position.bars_held,
        sequence=sequence,
        simulated=position.simulated,
    )


def market_update_message(update: MarketUpdate) -> event_pb2.MarketUpdate:
    """A stored bar and how it was taken."""
    return event_pb2.MarketUpdate(bar=bar_message(update.bar), disposition=_DISPOSITIONS[update.disposition])


def trading_control_message(control: TradingControl) -> event_pb2.TradingControl:
    """A halt or resume of trading by hand."""
    return event_pb2.TradingControl(
        halted=control.halted, reason=control.reason, by=control.by, time=timestamp(control.at)
    )


def bar_message(bar: Bar) -> bar_pb2.Bar:
    """A bar."""
    return bar_pb2.Bar(
        time=timestamp(bar.time),
        symbol=bar.symbol,
        open=bar.open,
        high=bar.high,
        low=bar.low,
        close=bar.close,
        volume=bar.volume,
        interval=interval_name(bar.interval),
    )


def receipt_message(receipt: Receipt) -> bar_pb2.BarReceipt:
    """What became of a bar."""
    return bar_pb2.BarReceipt(
        symbol=receipt.symbol,
        time=timestamp(receipt.time),
        disposition=_DISPOSITIONS[receipt.disposition],
        signal_id=None if receipt.signal_id is None else str(receipt.signal_id),
        through_sequence=receipt.sequence,
    )


def rejection_message(index: int, sent: bar_pb2.Bar, error: ServiceError) -> bar_pb2.BarRejection:
    """Why the bar at `index` of a stream was refused."""
    return bar_pb2.BarRejection(
        index=index,
        symbol=sent.symbol[:MAX_QUOTED],
        time=sent.time if sent.HasField("time") else None,
        reason=error.reason,
        message=cut(error.message, MAX_MESSAGE_BYTES),
    )


def statistics_message(found: Statistics, rules: RiskRules, *, model_loaded: bool) -> statistics_pb2.Statistics:
    """All counts."""
    signals, positions = found.signals, found.positions
    return statistics_pb2.Statistics(
        inference=statistics_pb2.InferenceStatistics(
            total_inferences=signals.total, avg_latency_ms=signals.avg_latency_ms, model_loaded=model_loaded
        ),
        signals=statistics_pb2.SignalStatistics(
            signals_generated=signals.total,
            confidence_threshold=rules.confidence_threshold,
            min_risk_reward=rules.min_risk_reward,
            position_size_pct=rules.position_size_pct,
            buy_signals=signals.buy,
            sell_signals=signals.sell,
            hold_signals=signals.hold,
            simulated_signals=signals.simulated,
        ),
        positions=statistics_pb2.PositionStatistics(
            total_signals=signals.buy + signals.sell,
            total_positions_opened=positions.opened,
            total_positions_closed=positions.closed,
            active_positions=positions.active,
            total_pnl=positions.total_pnl,
            avg_pnl=positions.avg_pnl,
            winning_positions=positions.winning,
            losing_positions=positions.losing,
            win_rate=positions.win_rate,
            total_pnl_account=positions.total_pnl_account,
            costs=costs_messages(rules),
        ),
        market_data=statistics_pb2.MarketDataStatistics(bars_stored=found.bars_stored, symbols=found.symbols),
    )


def costs_messages(rules: RiskRules) -> list[statistics_pb2.TradingCosts]:
    """What trades are charged, by symbol, every other symbol last."""
    charges = rules.spread, rules.commission, rules.slippage
    named = sorted({symbol for each in charges for symbol in each.by_symbol})
    return [
        statistics_pb2.TradingCosts(
            symbol=symbol,
            spread=str(rules.spread.of(symbol)),
            commission=str(rules.commission.of(symbol)),
            slippage=str(rules.slippage.of(symbol)),
        )
        for symbol in (*named, EVERY_OTHER)
    ]


def interval_messages(intervals: Intervals) -> list[system_service_pb2.BarInterval]:
    """The interval of bars by symbol, every other symbol last."""
    items = [*sorted(intervals.by_symbol.items()), (EVERY_OTHER, intervals.every_other)]
    return [system_service_pb2.BarInterval(symbol=symbol, interval=interval_name(each)) for symbol, each in items]


def model_message(trader: Trader, versions: Sequence[str] = ()) -> model_pb2.Model:
    """A policy, how it has done in this process, and the versions it stands among."""
    described, features, meter = trader.policy.description, trader.policy.features, trader.meter
    trained = described.training_range
    return model_pb2.Model(
        loaded=not described.simulated,
        version=described.version,
        mode=described.mode,
        providers=described.providers,
        inputs=[_tensor(tensor) for tensor in described.inputs],
        outputs=[_tensor(tensor) for tensor in described.outputs],
        inference_count=meter.count,
        avg_latency_ms=meter.avg_ms,
        type=described.type,
        file_sha256=described.file_sha256,
        feature_specification=features.name,
        feature_names=features.names,
        lookback_bars=features.lookback_bars,
        name=described.name,
        recurrent_reset=described.reset,
        recurrent_layers=described.layers,
        recurrent_size=described.hidden_size,
        training_start=None if trained is None else timestamp(trained[0]),
        training_end=None if trained is None else timestamp(trained[1]),
        git_revision=described.git_revision,
        failure_count=meter.failures,
        p50_latency_ms=meter.percentile_ms(50),
        p99_latency_ms=meter.percentile_ms(99),
        available_versions=versions,
        win_calibration=None if described.win_calibration is None else _win_calibration(described.win_calibration),
        interval_seconds=None if described.interval is None else int(described.interval.total_seconds()),
        actions=described.actions,
        output=described.output,
        feature_expressions=described.feature_expressions,
        frame_stack=described.frame_stack,
        observation_size=features.size,
    )


def _win_calibration(found: WinCalibration) -> model_pb2.WinCalibration:
    return model_pb2.WinCalibration(
        start=timestamp(found.start),
        end=timestamp(found.end),
        buy_cases=found.buy.cases,
        sell_cases=found.sell.cases,
    )


def shadow_message(trader: Trader, score: ShadowScore) -> model_pb2.Shadow:
    """The policy that is watched, and what it came to."""
    return model_pb2.Shadow(
        model=model_message(trader),
        decisions=score.decisions,
        agreement_pct=100.0 * score.agreements / score.decisions if score.decisions else 0.0,
        positions_closed=score.closed,
        win_rate=100.0 * score.winning / score.closed if score.closed else 0.0,
        total_pnl=score.total_pnl,
    )


def _tensor(tensor: TensorShape) -> model_pb2.Tensor:
    return model_pb2.Tensor(name=tensor.name, type=tensor.type, shape=tensor.shape)


def health_message(health: Health, service: str, version: str) -> system_service_pb2.GetHealthResponse:
    """How the service is."""
    last, committed = health.totals.last_timestamp, health.last_commit
    return system_service_pb2.GetHealthResponse(
        status=health.status,
        timestamp=timestamp(health.timestamp),
        service=service,
        version=version,
        model_loaded=health.model_loaded,
        database_connected=health.database_connected,
        uptime_seconds=health.uptime_seconds,
        total_signals_generated=health.totals.count,
        last_signal_timestamp=None if last is None else timestamp(last),
        warnings=health.warnings,
        symbols=[
            system_service_pb2.SymbolHealth(
                symbol=symbol.symbol,
                last_bar_time=None if symbol.last_bar_time is None else timestamp(symbol.last_bar_time),
                missing_bars=symbol.missing_bars,
                stale=symbol.stale,
                interval=interval_name(symbol.interval),
                undecided=symbol.undecided,
            )
            for symbol in health.symbols
        ],
        symbol_count=health.symbol_count,
        stale_symbols=health.stale_symbols,
        last_commit_time=None if committed is None else timestamp(committed),
        trading_halted=health.halted is not None,
        trading_halt_reason=health.halted or "",
    )


def bars_answer(bars: tuple[Bar, ...], next_page_token: str) -> market_data_service_pb2.ListBarsResponse:
    """A page of bars."""
    return market_data_service_pb2.ListBarsResponse(
        bars=[bar_message(bar) for bar in bars], count=len(bars), next_page_token=next_page_token
    )


def timestamp(time: datetime) -> Timestamp:
    """A time in UTC, to the microsecond."""
    return Timestamp(seconds=int(time.timestamp()), nanos=time.microsecond * 1000)
