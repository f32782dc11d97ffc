"""Account and equity as messages of the contract."""

from __future__ import annotations

from tradingsignals.v1 import account_pb2

from ...application.ports.outcomes import StoredAccount
from ...domain.account import Account
from ...domain.equity import EquityPoint
from ...domain.protections import Protections, ProtectionState
from .to_proto import timestamp


def account_message(stored: StoredAccount, protections: Protections) -> account_pb2.Account:
    """The account."""
    account = stored.account
    return account_pb2.Account(
        currency=stored.currency,
        initial_equity=account.initial_equity,
        equity=account.equity,
        realised_pnl=account.realised,
        unrealised_pnl=account.unrealised,
        exposure=account.exposure,
        open_positions=len(account.open_positions),
        closed_positions=account.closed,
        peak_equity=account.peak,
        drawdown=account.drawdown,
        drawdown_pct=account.drawdown_pct,
        day="" if account.day is None else account.day.isoformat(),
        day_start_equity=account.day_start,
        day_pnl=account.equity - account.day_start,
        as_of=None if account.as_of is None else timestamp(account.as_of),
        trading_halted=account.halted,
        halt_reason=account.halt_reason,
        halted_by=account.halted_by,
        halted_at=None if account.halted_at is None else timestamp(account.halted_at),
        halted_by_setting=protections.trading_halted,
    )


def protection_messages(account: Account, protections: Protections) -> list[account_pb2.Protection]:
    """How each protection stands, as of the newest bar."""
    return [_protection(state) for state in account.protection_states(protections)]


def _protection(state: ProtectionState) -> account_pb2.Protection:
    return account_pb2.Protection(
        name=state.name,
        unit=state.unit.value,
        limit=state.limit,
        value=state.value,
        reached=state.reason is not None,
        until=None if state.until is None else timestamp(state.until),
        reason=state.reason or "",
    )


def trading_message(account: Account, protections: Protections) -> account_pb2.Trading:
    """Whether trading is halted."""
    return account_pb2.Trading(
        halted=account.halted,
        reason=account.halt_reason,
        by=account.halted_by,
        halted_at=None if account.halted_at is None else timestamp(account.halted_at),
        halted_by_setting=protections.trading_halted,
    )


def equity_point_message(point: EquityPoint) -> account_pb2.EquityPoint:
    """The account at a close of a bar."""
    return account_pb2.EquityPoint(
        time=timestamp(point.time),
        session_day="" if point.session_day is None else point.session_day.isoformat(),
        equity=point.equity,
        realised_pnl=point.realised,
        unrealised_pnl=point.unrealised,
        exposure=point.exposure,
        open_positions=point.open_positions,
        drawdown=point.drawdown,
        drawdown_pct=point.drawdown_pct,
    )
