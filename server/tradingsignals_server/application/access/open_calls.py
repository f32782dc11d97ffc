"""The calls that last, by their callers: how many each has open, and which have lost their permission."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import count
from time import monotonic

from ...domain.access import Caller
from ...domain.access_errors import StreamExpired, TooManyStreams

CHECK_INTERVAL_S = 1.0
"""Between two checks for credentials that have expired."""

Withdraw = Callable[[Exception], None]
LostBy = Callable[[Caller], Exception | None]


class OpenCalls:
    """Streams and uploads under way. `lost_by` returns the error of a caller that may not go on, None of any other."""

    def __init__(
        self,
        lost_by: LostBy,
        most: int = 0,
        longest_s: float = 0.0,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """Args:
        lost_by: see above.
        most: of one group of callers; 0: no limit.
        longest_s: how long one may last; 0: no limit.
        clock: monotonic seconds.
        """
        self._lost_by = lost_by
        self._most = most
        self._longest_s = longest_s
        self._clock = clock
        self._by_caller: dict[Caller, dict[int, tuple[Withdraw, float]]] = {}
        self._by_group: dict[str, int] = {}
        self._ids = count()

    def add(self, caller: Caller, withdraw: Withdraw) -> int:
        """Have `withdraw` called when the caller loses its permission; return the id to `remove` it by.

        Raises:
            TooManyStreams: the caller has as many calls open as it may.
        """
        group = caller.group
        open_ = self._by_group.get(group, 0)
        if 0 < self._most <= open_:
            raise TooManyStreams(self._most)
        self._by_group[group] = open_ + 1
        id_ = next(self._ids)
        self._by_caller.setdefault(caller, {})[id_] = withdraw, self._clock()
        if (error := self._lost_by(caller)) is not None:
            asyncio.get_running_loop().call_soon(withdraw, error)
        return id_

    def remove(self, caller: Caller, id_: int) -> None:
        """Forget a call that has ended."""
        calls = self._by_caller[caller]
        del calls[id_]
        if not calls:
            del self._by_caller[caller]
        group = caller.group
        self._by_group[group] -= 1
        if not self._by_group[group]:
            del self._by_group[group]

    def check(self) -> None:
        """End the calls of callers that have lost their permission, and those that have lasted too long."""
        begun_before = self._clock() - self._longest_s if self._longest_s else None
        for caller, calls in list(self._by_caller.items()):
            error = self._lost_by(caller)
            for withdraw, begun in list(calls.values()):
                if error is not None:
                    withdraw(error)
                elif begun_before is not None and begun <= begun_before:
                    withdraw(StreamExpired(self._longest_s))

    def end_all(self, error: Exception) -> None:
        """End every call with `error`."""
        for calls in list(self._by_caller.values()):
            for withdraw, _ in list(calls.values()):
                withdraw(error)

    async def run(self) -> None:
        """Check until cancelled: credentials expire without notice."""
        while True:
            await asyncio.sleep(CHECK_INTERVAL_S)
            self.check()
