"""Errors that callers see when they ask for stored signals. errors.py has the tree of all."""

from __future__ import annotations

from .errors import FailedPrecondition, NotFound


class SignalNotFound(NotFound):
    """No signal exists yet, or none with the id."""

    reason = "SIGNAL_NOT_FOUND"

    def __init__(self, symbol: str | None, *, signal_id: str | None = None) -> None:
        if signal_id is not None:
            super().__init__(f"there is no signal {signal_id}", signal_id=signal_id)
        elif symbol is None:
            super().__init__("no signal has been made yet")
        else:
            super().__init__(f"no signal has been made for {symbol} yet", symbol=symbol)


class InputsNotStored(FailedPrecondition):
    """What a signal was made from is not stored: an earlier version made it, or its log entry was pruned."""

    reason = "INPUTS_NOT_STORED"

    def __init__(self, signal_id: str) -> None:
        super().__init__(
            f"the inputs of signal {signal_id} are not stored: it is older than SIGNAL_RETENTION_DAYS, or an earlier "
            "version made it",
            signal_id=signal_id,
        )
