"""Bringing bars to the server that has their symbol: this one's engine, or a peer.

Bars of one symbol keep their order on every way. While some are on their way to a peer, further ones follow them there;
those that a peer did not answer, because it is gone or does not have the symbol any more, are brought to whoever has it
then: this server if nobody else has. Publishing is idempotent, so what the peer had done after all does no harm.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress

from ...domain.bars import Bar
from ...domain.errors import OwnerUnavailable, ServiceError, StorageUnavailable
from ..ingest.commands import Publication, PublishStream
from ..ingest.engine import Engine
from ..ingest.writer import MAX_WAITING
from ..ports.ownership import Ownership, bucket_of
from ..ports.peer import PeerAt
from ..ports.store import Store
from .peer_queue import Lane
from .publication import Parcel, Result, Spread

TAKEOVER_SECONDS = 10.0
"""How long bars wait for somebody to have their symbol; after that their publisher is told to try again."""

BALANCE_SECONDS = 5.0
"""Between two looks whether this server has more than its share."""

PAUSE_SECONDS = 0.05
"""Between two looks who has a symbol that is changing hands. Nothing tells of the moment a lock becomes free."""


class Router:
    """Takes bars of any symbol in. Run `run` in a task. Implements MarketDataSink.

    A parcel is in one of three places: in the line of this server's engine, in the lane to a peer, or unresolved, as
    long as nobody is known to have its symbol. Parcels of one symbol are in one lane at most, and those unresolved came
    after them.
    """

    def __init__(self, engine: Engine, ownership: Ownership, store: Store, peer_at: PeerAt) -> None:
        self._engine = engine
        self._ownership = ownership
        self._store = store
        self._peer_at = peer_at
        self._addresses: dict[int, str] = {}
        self._lanes: dict[str, Lane] = {}
        self._leaving: set[int] = set()
        self._lane_of: dict[str, Lane] = {}
        self._unresolved: deque[Parcel] = deque()
        self._unresolved_of: Counter[str] = Counter()
        self._news = asyncio.Event()
        self._waiting = 0
        self._room = asyncio.Event()
        self._tasks: asyncio.TaskGroup | None = None

    # -------------------------------------------------------------------------------------------------- callers

    async def publish(self, bars: Sequence[Bar]) -> list[Result]:
        """See MarketDataSink."""
        return await (await self.enqueue(bars, PublishStream())).results()

    async def enqueue(self, bars: Sequence[Bar], stream: PublishStream) -> Publication:
        """Put bars on their way, waiting for room there, without waiting until they are committed."""
        self._keep_session(stream)
        if stream.broken_by is None and all(self._is_here(symbol) for symbol in {bar.symbol for bar in bars}):
            return await self._engine.enqueue(bars, stream)
        while self._waiting >= MAX_WAITING:
            self._room.clear()
            await self._room.wait()
        self._waiting += len(bars)
        publication = Spread(bars)
        here: list[int] = []
        places: dict[str, list[int]] = {}
        for index, bar in enumerate(bars):
            places.setdefault(bar.symbol, []).append(index)
        for symbol, at in places.items():
            if stream.broken_by is None and self._is_here(symbol):
                here += at
            else:
                self._set_off(Parcel(symbol, publication, at, stream))
        if here:
            await self._hand_over(publication, sorted(here), stream)
        return publication

    async def process_here(self, bars: Sequence[Bar]) -> list[Result]:
        """Process what a peer sends, as far as the symbols are ours or can be; never send it on."""
        try:
            ours = await self._ours({bar.symbol for bar in bars})
        except StorageUnavailable:
            ours = frozenset()  # we are leaving, or cut off from the database: somebody else will have them
        results: list[Result] = [OwnerUnavailable(bar.symbol) for bar in bars]
        at = [index for index, bar in enumerate(bars) if bar.symbol in ours and not self._is_leaving(bar.symbol)]
        if at:
            answers = await self._engine.publish([bars[index] for index in at])
            for index, answer in zip(at, answers, strict=True):
                results[index] = answer
        return results

    async def last_bar(self, symbol: str) -> Bar | None:
        """See MarketDataSink."""
        if self._ownership.holds(symbol):
            return await self._engine.last_bar(symbol)
        return next(iter(await self._store.list_bars(symbol, None, None, 1)), None)

    async def address_of(self, symbol: str) -> str | None:
        """Where the peer is that has `symbol`; None if this server has it, which it takes over if nobody does.

        Raises:
            OwnerUnavailable: the symbol is changing hands.
            StorageUnavailable: it cannot be found out.
        """
        bucket = bucket_of(symbol)
        if self._ownership.holds(symbol) or (bucket not in self._addresses and symbol in await self._ours((symbol,))):
            return None
        if bucket not in self._addresses:
            raise OwnerUnavailable(symbol)
        return self._addresses[bucket]

    def forget(self, symbol: str) -> None:
        """The peer that had `symbol` is gone, or has it no more: find out anew."""
        self._addresses.pop(bucket_of(symbol), None)

    async def balance(self) -> None:
        """Give up the buckets that are more than this server's share, now and then, until cancelled.

        The server that is sent something for one of them next takes it over. Meanwhile bars wait, and none is refused.
        """
        while True:
            await asyncio.sleep(BALANCE_SECONDS)
            with suppress(ServiceError):
                if surplus := await self._ownership.surplus():
                    await self.give_up(surplus)

    async def give_up(self, buckets: Collection[int]) -> None:
        """Let others have `buckets` of symbols."""
        self._leaving.update(buckets)
        try:
            await self._engine.release(buckets)
            await self._ownership.unlock_released()
        finally:
            self._leaving.difference_update(buckets)
            self._news.set()

    # ------------------------------------------------------------------------------------------------- the ways

    async def run(self) -> None:
        """Bring bars to peers, and find out who has what, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            tasks.create_task(self.balance())
            while True:
                await self._news.wait()
                self._news.clear()
                while self._unresolved:
                    if not await self._resolve():
                        await asyncio.sleep(PAUSE_SECONDS)

    def _is_leaving(self, symbol: str) -> bool:
        return bool(self._leaving) and bucket_of(symbol) in self._leaving

    def _is_here(self, symbol: str) -> bool:
        if self._is_leaving(symbol) or symbol in self._lane_of or self._unresolved_of.get(symbol, 0):
            return False
        return self._ownership.holds(symbol)

    async def _ours(self, symbols: Collection[str]) -> frozenset[str]:
        """Those of `symbols` that this server has, or takes over now; where the others are is noted down."""
        held = frozenset(filter(self._ownership.holds, symbols))
        if len(held) == len(symbols):
            return held
        claim = await self._ownership.claim(symbols)
        self._addresses.update(claim.elsewhere)
        return claim.ours

    def _keep_session(self, flow: PublishStream) -> None:
        """End a flow that outlives a session: its first bars may still wait to be refused, and none may pass them."""
        session = self._ownership.lease_id
        if flow.session is None:
            flow.session = session
        elif flow.session != session and flow.broken_by is None:
            flow.broken_by = StorageUnavailable()

    def _set_off(self, parcel: Parcel) -> None:
        """Put a parcel in the lane it belongs to, or leave it unresolved."""
        symbol = parcel.symbol
        if parcel.flow.broken_by is not None:
            self._refuse(parcel, parcel.flow.broken_by)
        elif not self._unresolved_of[symbol] and (lane := self._known_lane(symbol)) is not None:
            lane.add(parcel)
        else:
            parcel.deadline = asyncio.get_running_loop().time() + TAKEOVER_SECONDS
            self._unresolved.append(parcel)
            self._unresolved_of[symbol] += 1
            self._news.set()

    def _known_lane(self, symbol: str) -> Lane | None:
        if (lane := self._lane_of.get(symbol)) is not None:
            return lane
        if self._ownership.holds(symbol) or (address := self._addresses.get(bucket_of(symbol))) is None:
            return None
        if address not in self._lanes:
            lane = self._lanes[address] = Lane(self, self._peer_at(address))
            if self._tasks is not None:
                self._tasks.create_task(lane.run())
        return self._lanes[address]

    async def _hand_over(self, publication: Spread, at: Sequence[int], flow: PublishStream) -> None:
        try:
            line = await self._engine.enqueue([publication.bars[index] for index in at], flow)
        finally:
            self.let_in(len(at))
        publication.hand_over(at, line)

    async def _resolve(self) -> bool:
        """Bring every unresolved parcel on its way whose symbol somebody has; False if some have to wait."""
        refusal: ServiceError | None = None
        try:
            unknown = {one.symbol for one in self._unresolved} - self._lane_of.keys()
            await self._ours({symbol for symbol in unknown if bucket_of(symbol) not in self._addresses})
        except ServiceError as error:
            refusal = error
        here, waiting = self._sorted(refusal)
        self._unresolved = waiting
        for parcel in here:
            await self._hand_over(parcel.publication, parcel.at, parcel.flow)
            self._unresolved_of[parcel.symbol] -= 1
        return not self._unresolved

    def _sorted(self, refusal: ServiceError | None) -> tuple[list[Parcel], deque[Parcel]]:
        """Those unresolved that are for this server's engine, and those that have to wait; the rest go their way."""
        now = asyncio.get_running_loop().time()
        here: list[Parcel] = []
        waiting: deque[Parcel] = deque()
        stuck: set[str] = set()
        for parcel in self._unresolved:
            symbol = parcel.symbol
            lane = self._known_lane(symbol)
            nowhere = lane is None and not self._ownership.holds(symbol)
            if parcel.flow.broken_by is not None:
                self._refuse(parcel, parcel.flow.broken_by)
            elif now > parcel.deadline:
                self._refuse(parcel, OwnerUnavailable(symbol))
            elif refusal is not None and nowhere:
                self._refuse(parcel, refusal)
            elif nowhere or symbol in stuck or self._is_leaving(symbol) or now < parcel.not_before:
                stuck.add(symbol)
                waiting.append(parcel)
                continue
            elif lane is None:
                here.append(parcel)
                continue
            else:
                lane.add(parcel)
            self._unresolved_of[symbol] -= 1
        return here, waiting

    def _refuse(self, parcel: Parcel, error: Exception) -> None:
        self.let_in(len(parcel.at))
        parcel.refuse(error)

    def give_back(self, parcels: Iterable[Parcel]) -> None:
        """A peer did not take these: they go before all that was not on its way yet."""
        now = asyncio.get_running_loop().time()
        for parcel in reversed(list(parcels)):
            parcel.deadline = min(parcel.deadline, now + TAKEOVER_SECONDS)
            parcel.not_before = now + PAUSE_SECONDS
            self._addresses.pop(bucket_of(parcel.symbol), None)
            self._unresolved.appendleft(parcel)
            self._unresolved_of[parcel.symbol] += 1
        self._news.set()

    def on_lane(self, symbol: str, lane: Lane | None) -> None:
        """`lane` has parcels of `symbol`; None: no lane has any more."""
        if lane is None:
            self._lane_of.pop(symbol, None)
        else:
            self._lane_of[symbol] = lane

    def let_in(self, bars: int) -> None:
        """So many bars are no longer on their way."""
        self._waiting -= bars
        self._room.set()
