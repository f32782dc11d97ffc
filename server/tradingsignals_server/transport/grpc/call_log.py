"""The log lines of a call: one at its end, and one more for a defect."""

from __future__ import annotations

import logging
from time import perf_counter
from typing import Final

from .status import CallRules, CallStatus

MAX_METHOD_CHARACTERS: Final = 200
"""Of a method's path in a log line: a caller may make it long."""

log = logging.getLogger("tradingsignals.call")


def log_end(method: str, status: CallStatus, started: float, rules: CallRules) -> None:
    """Log the end of a call; `started` is by time.perf_counter."""
    level = logging.WARNING if status.is_fault else logging.DEBUG if rules.is_routine(method) else logging.INFO
    if log.isEnabledFor(level):
        method = method[:MAX_METHOD_CHARACTERS]
        elapsed_ms = (perf_counter() - started) * 1e3
        log.log(
            level,
            "%s %s",
            method.rpartition("/")[2],
            status.code.name,
            extra={"method": method, "code": status.code.name, "reason": status.reason, "ms": round(elapsed_ms, 3)},
        )


def log_defect(method: str, error: Exception) -> None:
    """Log the traceback of a defect, which the caller is not sent."""
    log.error("%s failed", method, exc_info=error)
