"""How much one caller may ask for: calls a second by its role, and calls that last."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ...domain.access import Caller, Role
from ...domain.access_errors import RateLimited

BURST_S: Final = 2.0
"""A caller that was idle may make the calls of so long at once."""

MAX_RATE: Final = 1e6
_STRANGER: Final = "none"
_OTHERS: Final = "*"

MAX_BUCKETS: Final = 100_000
"""Callers that are kept; of more, those whose bucket is full are forgotten, which changes nothing for them."""


@dataclass(frozen=True, slots=True)
class CallRates:
    """Calls a second: of each role, and of an address without accepted credentials. 0: no limit."""

    by_role: Mapping[Role, float]
    stranger: float

    @classmethod
    def parse(cls, text: str) -> CallRates:
        """Parse rates such as publisher=1000,*=200: by role, `none` for a stranger, `*` for all that are not named.

        Raises:
            ValueError: a name or a number is not valid; the message says which.
        """
        found: dict[str, float] = {}
        for part in text.split(","):
            name, _, number = (word.strip() for word in part.partition("="))
            if name not in {*Role, _STRANGER, _OTHERS}:
                raise ValueError(f"'{name[:80]}' must be a role ({', '.join(Role)}), none or *")
            try:
                found[name] = float(number)
            except ValueError:
                found[name] = -1.0
            if not 0 <= found[name] <= MAX_RATE:
                raise ValueError(f"'{number[:80]}' must be a number of calls a second from 0 to {MAX_RATE:g}")
        others = found.get(_OTHERS, 0.0)
        return cls({role: found.get(role, others) for role in Role}, found.get(_STRANGER, others))

    def __str__(self) -> str:
        named: dict[str, float] = {role.value: rate for role, rate in self.by_role.items()}
        named[_STRANGER] = self.stranger
        return ",".join(f"{name}={rate:g}" for name, rate in named.items())

    def of(self, caller: Caller) -> float:
        """Return the rate of a caller."""
        return self.stranger if caller.role is None else self.by_role.get(caller.role, 0.0)


DEFAULT_RATES: Final = CallRates(
    {Role.VIEWER: 200.0, Role.PUBLISHER: 2_000.0, Role.TRADER: 200.0, Role.ADMIN: 200.0}, stranger=50.0
)


class TokenBuckets:
    """Token buckets of callers: each holds the calls of BURST_S, and fills at the rate. Times are monotonic seconds."""

    def __init__(self, rates: CallRates) -> None:
        self._rates = rates
        self._full_at: dict[str, float] = {}
        """When each bucket is full again: all that has to be known of it."""

    def take(self, caller: Caller, now: float) -> None:
        """Take the token of one call.

        Raises:
            RateLimited: there is none.
        """
        rate = self._rates.of(caller)
        if rate <= 0:
            return
        group = caller.group
        full_at = max(self._full_at.get(group, now), now)
        wait = full_at + 1.0 / rate - now - max(BURST_S, 1.0 / rate)
        if wait > 1e-9:
            raise RateLimited(rate, max(math.ceil(wait), 1))
        if len(self._full_at) >= MAX_BUCKETS and group not in self._full_at:
            self._forget_full(now)
        self._full_at[group] = full_at + 1.0 / rate

    def _forget_full(self, now: float) -> None:
        self._full_at = {group: full_at for group, full_at in self._full_at.items() if full_at > now}
