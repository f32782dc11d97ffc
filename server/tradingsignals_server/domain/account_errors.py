"""Errors that callers see when they ask for the account. errors.py has the tree of all."""

from __future__ import annotations

from .errors import ServiceError


class AccountNotReady(ServiceError):
    """The account of a new database has not been opened yet, which the first server to keep it does."""

    reason = "ACCOUNT_NOT_READY"

    def __init__(self) -> None:
        super().__init__("the account is not there yet; try again")
