"""Errors that callers see when they ask for the account, or halt it. errors.py has the tree of all."""

from __future__ import annotations

from .errors import FailedPrecondition, ServiceError


class AccountNotReady(ServiceError):
    """The account of a new database has not been opened yet, which the first server to keep it does."""

    reason = "ACCOUNT_NOT_READY"

    def __init__(self) -> None:
        super().__init__("the account is not there yet; try again")


class TradingIsHalted(FailedPrecondition):
    """Trading is halted by the setting TRADING_HALTED, which a call cannot change."""

    reason = "TRADING_HALTED_BY_SETTING"

    def __init__(self) -> None:
        super().__init__("trading is halted by the setting TRADING_HALTED of this server: unset it and start it again")
