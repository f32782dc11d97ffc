"""Does the calls with an idempotency key once, and returns the first response whenever one is repeated.

The key is stored in the commit of the call's events, and its primary key decides: of two equal calls at two servers one
commit succeeds, and the other one finds the first's response. A call that fails stores nothing, so it can be repeated.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import TypeVar

from ...domain.idempotency import KeyUsedMeanwhile
from ...domain.values import dataclass
from ..ports.idempotency import CallKey, KeyedRequest
from ..ports.store import Store

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Done:
    """The response of a call, and whether it is that of an earlier one."""

    response: bytes
    is_replayed: bool


class Once:
    """Runs calls with keys. Equal calls that come together share one run."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._running: dict[tuple[str, str], tuple[KeyedRequest, asyncio.Task[Done]]] = {}

    async def run(self, key: CallKey[R], call: Callable[[], Awaitable[R]]) -> Done:
        """Return the stored response, or else run `call`, which commits the key with its effect.

        A call goes on if its caller goes away: the next one with this key waits for it. So does another request with
        the key, since the store alone knows which is first: that may be the waiting one, committed by another server.

        Raises:
            IdempotencyKeyReused: the caller has used the key for another request.
            ServiceError: that of the call, or of the lookup.
        """
        request = key.request
        place = request.caller, request.key
        while (running := self._running.get(place)) is not None:
            first, task = running
            if first == request:
                return Done((await asyncio.shield(task)).response, is_replayed=True)
            await asyncio.wait([task])
        task = asyncio.get_running_loop().create_task(self._first(key, call))
        self._running[place] = request, task
        task.add_done_callback(partial(self._ended, place))
        return await asyncio.shield(task)

    async def _first(self, key: CallKey[R], call: Callable[[], Awaitable[R]]) -> Done:
        while (stored := await self._stored(key.request)) is None:
            # A key that was used meanwhile is found, unless it was old enough to be pruned since: then the call is new.
            with suppress(KeyUsedMeanwhile):
                return Done(key.encode(await call()), is_replayed=False)
        return stored

    async def _stored(self, request: KeyedRequest) -> Done | None:
        used = await self._store.used_key(request.caller, request.key)
        if used is None:
            return None
        request.require_same(used.method, used.request_hash)
        return Done(used.response, is_replayed=True)

    def _ended(self, place: tuple[str, str], task: asyncio.Task[Done]) -> None:
        del self._running[place]
        if not task.cancelled():
            task.exception()  # its callers may all have gone away, and that is nothing to warn about
