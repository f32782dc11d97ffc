"""The caller of the call that is being served."""

from __future__ import annotations

from contextvars import ContextVar

from ...domain.access import Caller

NOBODY = Caller()

current_caller: ContextVar[Caller] = ContextVar("current_caller", default=NOBODY)
