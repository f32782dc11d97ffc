"""Outcomes as messages of the contract."""

from __future__ import annotations

from tradingsignals.v1 import outcome_pb2

from ...domain.outcomes import Outcome
from .to_proto import timestamp


def outcome_message(outcome: Outcome) -> outcome_pb2.Outcome:
    """An outcome."""
    return outcome_pb2.Outcome(
        outcome_id=str(outcome.outcome_id),
        signal_id=str(outcome.signal_id),
        symbol=outcome.symbol,
        action=outcome.action.value,
        model_version=outcome.model_version,
        model_key=outcome.model_key,
        shadow=outcome.shadow,
        acted=outcome.acted,
        simulated=outcome.simulated,
        origin=outcome.origin.value,
        confidence=outcome.confidence,
        win_probability=outcome.win_probability,
        position_size=outcome.size,
        fill=outcome.fill.value,
        entry_time=timestamp(outcome.entry_time),
        entry_price=outcome.entry_price,
        stop_loss=outcome.stop_loss,
        take_profit=outcome.take_profit,
        exit_time=timestamp(outcome.exit_time),
        exit_price=outcome.exit_price,
        resolution=outcome.resolution.value,
        r_multiple=outcome.r_multiple,
        gross_pct=outcome.gross_pct,
        net_pct=outcome.net_pct,
        pnl_account=outcome.pnl_account,
        mfe_r=outcome.mfe_r,
        mae_r=outcome.mae_r,
        bars_held=outcome.bars_held,
        seconds_to_resolve=outcome.seconds_to_resolve,
        rules_version=outcome.rules_version,
    )
