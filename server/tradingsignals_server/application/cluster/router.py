"""Routes bars to the server that owns their symbol: to the engine of this one, or to a peer.

Bars of one symbol keep their order. While some wait for the owner or a peer's results, later ones queue behind them.
Those that a peer has not processed, because it is gone or does not own the symbol any more, go to the next owner: this
server if there is no other. Publishing is idempotent, so it does no harm if the peer had processed them after all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress

from ...domain.bars import Bar
from ...domain.buckets import bucket_of
from ...domain.errors import OwnerUnavailable, ServiceError, ShuttingDown, StorageUnavailable
from ..ingest.commands import Publication, PublishStream
from ..ingest.engine import Engine
from ..ingest.queue import MAX_PENDING
from ..ports.feed import BarResult
from ..ports.ownership import Ownership
from ..ports.peer import PeerAt
from ..ports.store import Store
from .peer_queue import PeerQueue, SymbolQueue
from .queued_bars import Capacity, QueuedBars, SplitPublication

TAKEOVER_SECONDS = 10.0
"""How long bars wait for an owner of their symbol before their publisher gets an error that says to try again."""

BALANCE_SECONDS = 5.0
"""Interval of the check whether this server owns more than its share, or no server owns a symbol that is in use."""

PAUSE_SECONDS = 0.05
"""Interval of attempts to find the owner of a symbol. PostgreSQL does not notify when an advisory lock becomes free."""


class Router:
    """Takes bars of any symbol. Run `run` in a task. Implements MarketDataSink and BarPublisher.

    Bars are either in the engine's queue or in the queue of their symbol, which is at one peer at most.
    """

    def __init__(
        self,
        engine: Engine,
        ownership: Ownership,
        store: Store,
        peer_at: PeerAt,
        in_use: Callable[[], Awaitable[Sequence[str]]],
    ) -> None:
        """Create a router.

        Args:
            engine: works on the symbols that this server owns.
            ownership: says which these are.
            store: the last bars of other symbols.
            peer_at: returns the peer at an address.
            in_use: returns the symbols that some server has to work on although no bar of them comes, the most urgent
                first.
        """
        self._engine = engine
        self._ownership = ownership
        self._store = store
        self._peer_at = peer_at
        self._in_use = in_use
        self._addresses: dict[int, str] = {}
        self._releasing: set[int] = set()
        self._queues: dict[str, SymbolQueue] = {}
        self._peer_queues: dict[str, PeerQueue] = {}
        self._capacity = Capacity(MAX_PENDING)
        self._changed = asyncio.Event()
        self._tasks: asyncio.TaskGroup | None = None

    # ------------------------------------------------------------------------------------------------------ bars

    async def publish(self, bars: Sequence[Bar]) -> list[BarResult]:
        """See MarketDataSink."""
        return await (await self.enqueue(bars, PublishStream())).results()

    async def enqueue(self, bars: Sequence[Bar], stream: PublishStream) -> Publication:
        """See BarPublisher."""
        self._break_after_lease(stream)
        if stream.broken_by is None and all(self._is_here(symbol) for symbol in {bar.symbol for bar in bars}):
            return await self._engine.enqueue(bars, stream)
        await self._capacity.wait()
        publication = SplitPublication(bars)
        indexes: dict[str, list[int]] = {}
        for index, bar in enumerate(bars):
            indexes.setdefault(bar.symbol, []).append(index)
        here: list[int] = []
        for symbol, of_symbol in indexes.items():
            if stream.broken_by is None and self._is_here(symbol):
                here += of_symbol
            else:
                self._queue(QueuedBars(symbol, publication, of_symbol, stream, self._capacity))
        if here:
            here.sort()
            queued = await self._engine.enqueue([bars[index] for index in here], stream)
            publication.continue_in_engine(here, queued)
        return publication

    async def process_here(self, bars: Sequence[Bar]) -> list[BarResult]:
        """Process bars that a peer has sent, if this server owns their symbols or can claim them.

        Bars of other symbols are refused with OwnerUnavailable and never sent on.
        """
        try:
            owned = await self._claim({bar.symbol for bar in bars})
        except (StorageUnavailable, ShuttingDown):
            owned = frozenset()  # without a lease another server will own them
        results: list[BarResult] = [OwnerUnavailable(bar.symbol) for bar in bars]
        here = [index for index, bar in enumerate(bars) if bar.symbol in owned and not self._is_releasing(bar.symbol)]
        if here:
            for index, result in zip(here, await self._engine.publish([bars[index] for index in here]), strict=True):
                results[index] = result
        return results

    async def last_bar(self, symbol: str) -> Bar | None:
        """See MarketDataSink."""
        if self._ownership.holds(symbol):
            return await self._engine.last_bar(symbol)
        return next(iter(await self._store.list_bars(symbol, None, None, 1)), None)

    # --------------------------------------------------------------------------------------------------- owners

    async def address_of(self, symbol: str) -> str | None:
        """Return the address of the peer that owns `symbol`; None if this server does, which claims it if none does.

        Raises:
            OwnerUnavailable: the symbol is between two owners.
            ShuttingDown: this server leaves its symbols to others, and knows no owner of this one.
            StorageUnavailable: the owner cannot be looked up.
        """
        bucket = bucket_of(symbol)
        if self._ownership.holds(symbol) or (bucket not in self._addresses and symbol in await self._claim((symbol,))):
            return None
        if bucket not in self._addresses:
            raise OwnerUnavailable(symbol)
        return self._addresses[bucket]

    def forget(self, symbol: str) -> None:
        """Look the owner of `symbol` up again: the peer that owned it is gone, or owns it no more."""
        self._addresses.pop(bucket_of(symbol), None)

    async def release(self, buckets: Collection[int]) -> None:
        """Let other servers own `buckets` of symbols. Their bars wait meanwhile, and none is refused."""
        self._releasing.update(buckets)
        try:
            await self._engine.release(buckets)
            await self._ownership.unlock_released()
        finally:
            self._releasing.difference_update(buckets)
            self._changed.set()

    async def adopt(self, most: int | None = None) -> None:
        """Claim the symbols in use that no server owns, the first `most` of them, and read their state, as their next
        bar would.

        Raises:
            ServiceError: they cannot be claimed or read.
        """
        for symbol in await self._claim((await self._in_use())[:most]):
            await self._engine.last_bar(symbol)

    async def run(self) -> None:
        """Send bars to their owners, and keep to this server's share of the symbols, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            tasks.create_task(self._balance())
            while True:
                await self._changed.wait()
                self._changed.clear()
                if not await self._find_owners():
                    await asyncio.sleep(PAUSE_SECONDS)
                    self._changed.set()

    async def _balance(self) -> None:
        """Release the buckets above this server's share; without any, adopt symbols that have lost their owner.

        Without the first a server that joins late, or was restarted, would own nothing; without the second no server
        would exit the positions of a server that is gone, or notice that its feed is silent, until their next bar.
        PostgreSQL does not notify when a lock becomes free.
        """
        while True:
            await asyncio.sleep(BALANCE_SECONDS)
            with suppress(ServiceError):
                if surplus := await self._ownership.surplus():
                    await self.release(surplus)
                else:
                    await self.adopt()

    async def _claim(self, symbols: Collection[str]) -> frozenset[str]:
        """Return those of `symbols` that this server owns or can claim; note the addresses of the other owners.

        Raises:
            ShuttingDown: the engine is stopping, and could do nothing for a symbol that is claimed.
            StorageUnavailable: nothing can be claimed.
        """
        held = frozenset(filter(self._ownership.holds, symbols))
        if len(held) == len(symbols):
            return held
        if (refusal := self._engine.refusal) is not None:
            raise refusal
        claim = await self._ownership.claim(symbols)
        self._addresses.update(claim.elsewhere)
        return claim.ours

    def _is_releasing(self, symbol: str) -> bool:
        return bool(self._releasing) and bucket_of(symbol) in self._releasing

    def _is_here(self, symbol: str) -> bool:
        """Return True if bars of `symbol` may go to the engine now: this server owns it, and none are queued."""
        return symbol not in self._queues and not self._is_releasing(symbol) and self._ownership.holds(symbol)

    def _break_after_lease(self, stream: PublishStream) -> None:
        """Break a stream that began under another lease: its first bars may be refused, and none may overtake them."""
        lease_id = self._ownership.lease_id
        if stream.lease_id is None:
            stream.lease_id = lease_id
        elif stream.lease_id != lease_id and stream.broken_by is None:
            stream.broken_by = self._engine.refusal or StorageUnavailable()

    # --------------------------------------------------------------------------------------------------- queues

    def _queue(self, queued: QueuedBars) -> None:
        """Put bars behind those of their symbol, and send them if the owner is known."""
        symbol = queued.symbol
        if queued.stream.broken_by is not None:
            queued.refuse(queued.stream.broken_by)
            return
        queue = self._queues.get(symbol)
        if queue is None:
            queue = self._queues[symbol] = SymbolQueue(symbol)
            if not self._ownership.holds(symbol) and (address := self._addresses.get(bucket_of(symbol))) is not None:
                self._peer_queue(address).add(queue)
        queue.bars.append(queued)
        if queue.peer is None:
            queued.deadline = asyncio.get_running_loop().time() + TAKEOVER_SECONDS
            self._changed.set()

    def _peer_queue(self, address: str) -> PeerQueue:
        if address not in self._peer_queues:
            queue = self._peer_queues[address] = PeerQueue(self._peer_at(address), self._take_back)
            if self._tasks is not None:
                self._tasks.create_task(queue.run())
        return self._peer_queues[address]

    def _take_back(self, queue: SymbolQueue) -> None:
        """Take a symbol from a peer: all of its bars are sent, or the peer does not own it any more."""
        if not queue.bars:
            del self._queues[queue.symbol]
            return
        now = asyncio.get_running_loop().time()
        for queued in queue.bars:
            queued.deadline = min(queued.deadline, now + TAKEOVER_SECONDS)
        queue.retry_at = now + PAUSE_SECONDS
        self.forget(queue.symbol)
        self._changed.set()

    async def _find_owners(self) -> bool:
        """Send the bars of every symbol whose owner is found; return False if some have to wait."""
        queues = [queue for queue in self._queues.values() if queue.peer is None]
        unknown = {queue.symbol for queue in queues if bucket_of(queue.symbol) not in self._addresses}
        refusal: ServiceError | None = None
        try:
            await self._claim(unknown)
        except ServiceError as error:
            refusal = error
        return all([await self._send(queue, refusal) for queue in queues])

    async def _send(self, queue: SymbolQueue, refusal: ServiceError | None) -> bool:
        """Send the bars of a symbol to the owner; return False if they have to wait for one.

        `refusal` is why the owner could not be looked up.
        """
        symbol, now = queue.symbol, asyncio.get_running_loop().time()
        is_owned, address = self._ownership.holds(symbol), self._addresses.get(bucket_of(symbol))
        has_owner = is_owned or address is not None
        for queued in list(queue.bars):
            error = queued.stream.broken_by or (OwnerUnavailable(symbol) if now > queued.deadline else None)
            if error is None and refusal is not None and not has_owner:
                error = refusal
            if error is not None:
                queue.bars.remove(queued)
                queued.refuse(error)
        if queue.bars and (not has_owner or self._is_releasing(symbol) or now < queue.retry_at):
            return False
        if queue.bars and not is_owned and address is not None:
            self._peer_queue(address).add(queue)
            return True
        while queue.bars:
            queued = queue.bars[0]
            queued.continue_in_engine(await self._engine.enqueue(queued.bars, queued.stream))
            queue.bars.popleft()
        del self._queues[symbol]
        return True
