"""The calls that last, by their callers: how many each has open, and which have lost their permission."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import count

from ...domain.access import Caller

CHECK_INTERVAL_S = 1.0
"""Between two checks for credentials that have expired."""

Withdraw = Callable[[Exception], None]
LostBy = Callable[[Caller], Exception | None]


class OpenCalls:
    """Streams and uploads under way. `lost_by` returns the error of a caller that may not go on, None of any other."""

    def __init__(self, lost_by: LostBy) -> None:
        self._lost_by = lost_by
        self._by_caller: dict[Caller, dict[int, Withdraw]] = {}
        self._ids = count()

    def add(self, caller: Caller, withdraw: Withdraw) -> int:
        """Have `withdraw` called when the caller loses its permission; return the id to `remove` it by."""
        id_ = next(self._ids)
        self._by_caller.setdefault(caller, {})[id_] = withdraw
        if (error := self._lost_by(caller)) is not None:
            asyncio.get_running_loop().call_soon(withdraw, error)
        return id_

    def remove(self, caller: Caller, id_: int) -> None:
        """Forget a call that has ended."""
        calls = self._by_caller[caller]
        del calls[id_]
        if not calls:
            del self._by_caller[caller]

    def check(self) -> None:
        """End the calls of callers that have lost their permission."""
        for caller, calls in list(self._by_caller.items()):
            if (error := self._lost_by(caller)) is not None:
                for withdraw in list(calls.values()):
                    withdraw(error)

    async def run(self) -> None:
        """Check until cancelled: credentials expire without notice."""
        while True:
            await asyncio.sleep(CHECK_INTERVAL_S)
            self.check()
