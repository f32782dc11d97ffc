"""Errors that callers see when they ask for statistics. errors.py has the tree of all."""

from __future__ import annotations

from .errors import Overloaded, ServiceError


class StatisticsLimit(Overloaded):
    """As many statistics are pending as may, or these took more time or memory than they may."""

    reason = "STATISTICS_LIMIT"

    def __init__(self, message: str) -> None:
        ServiceError.__init__(self, message)
