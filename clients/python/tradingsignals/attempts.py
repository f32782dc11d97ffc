"""The attempts of a call that is done once: all have one idempotency key, and share one deadline."""

from __future__ import annotations

import random
from collections.abc import Callable
from time import monotonic
from typing import Final
from uuid import uuid4

from .errors import TradingSignalsError, Unavailable

IDEMPOTENCY_KEY: Final = "idempotency-key"

FIRST_PAUSE_SECONDS: Final = 0.1
LONGEST_PAUSE_SECONDS: Final = 1.0
"""Between two attempts; each pause is twice the one before, less a random part."""


class Attempts:
    """The attempts of one call."""

    def __init__(self, timeout: float, key: str | None, chance: Callable[[], float] = random.random) -> None:
        """`timeout` is that of all attempts together, in seconds; without a `key` a new one is made."""
        self.metadata = ((IDEMPOTENCY_KEY, str(uuid4()) if key is None else key),)
        self._ends_at = monotonic() + timeout
        self._pause = FIRST_PAUSE_SECONDS
        self._chance = chance

    @property
    def seconds_left(self) -> float:
        """Timeout of an attempt that begins now."""
        return max(0.0, self._ends_at - monotonic())

    def pause_after(self, error: TradingSignalsError) -> float | None:
        """Return how many seconds to wait after an attempt that failed; None if there is to be no other one.

        There is one after Unavailable, which says that the call may have been done, or not, as long as there is time.
        """
        pause, self._pause = self._pause, min(2.0 * self._pause, LONGEST_PAUSE_SECONDS)
        if not isinstance(error, Unavailable) or pause >= self.seconds_left:
            return None
        return pause * (0.5 + 0.5 * self._chance())
