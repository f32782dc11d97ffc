"""What is recorded of a call: a log line at its end, one more for a defect, and what the service wants to know."""

from __future__ import annotations

import logging
from time import perf_counter
from typing import Final

from .status import CallRules, CallStatus

MAX_METHOD_CHARACTERS: Final = 200
"""Of a method's path in a log line: a caller may make it long."""

log = logging.getLogger("tradingsignals.call")


def log_end(method: str, status: CallStatus, started: float, rules: CallRules) -> None:
    """Log and report the end of a call; `started` is by time.perf_counter."""
    seconds = perf_counter() - started
    if rules.on_end is not None:
        rules.on_end(method, status, seconds)
    level = logging.WARNING if status.is_fault else logging.DEBUG if rules.is_routine(method) else logging.INFO
    if log.isEnabledFor(level):
        method = method[:MAX_METHOD_CHARACTERS]
        log.log(
            level,
            "%s %s",
            method.rpartition("/")[2],
            status.code.name,
            extra={"method": method, "code": status.code.name, "reason": status.reason, "ms": round(seconds * 1e3, 3)},
        )


def log_defect(method: str, error: Exception) -> None:
    """Log the traceback of a defect, which the caller is not sent."""
    log.error("%s failed", method, exc_info=error)
