"""Idempotency keys: a call that its caller repeats with the same key is done once."""

from __future__ import annotations

import re
from typing import Final

from .errors import ServiceError, StorageUnavailable

KEY_PATTERN: Final = r"[\x21-\x2b\x2d-\x7e]{1,128}"
"""What a caller may send: 1 to 128 visible characters of ASCII without commas, with which HTTP joins two headers."""

KEYED_METHODS: Final = frozenset(
    {
        "tradingsignals.v1.SignalService.GenerateSignal",
        "tradingsignals.v1.SignalService.GenerateSignalFromDb",
        "tradingsignals.v1.PositionService.ClosePosition",
        "tradingsignals.v1.AccountService.HaltTrading",
        "tradingsignals.v1.AccountService.ResumeTrading",
    }
)
"""The methods that take one. Others ignore it: they change nothing, or may be repeated without harm, as bars are."""

_KEY = re.compile(KEY_PATTERN)


def is_key(text: str) -> bool:
    """Return whether a text can be an idempotency key."""
    return _KEY.fullmatch(text) is not None


class IdempotencyKeyReused(ServiceError):
    """The caller has used the key for another request. `method` is that of the first one."""

    reason = "IDEMPOTENCY_KEY_REUSED"

    def __init__(self, method: str) -> None:
        super().__init__(
            f"the idempotency key was used for another request of {method}: send each request with a key of its own",
            method=method,
        )


class KeyUsedMeanwhile(StorageUnavailable):
    """Another server has just committed a call with the same key, and nothing of this one is stored.

    Callers never get it, but the response of the other call.
    """
