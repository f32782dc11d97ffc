"""The way of bars to a peer."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from typing import Protocol

from ...domain.errors import OwnerUnavailable, ShuttingDown
from ..ports.peer import Peer, PeerGone
from .publication import Parcel, Result

CALL_BARS = 256
"""Bars that go to a peer in one call, from however many publishers; one publisher's may be more."""


class Depot(Protocol):
    """Where the parcels of a lane come from."""

    def on_lane(self, symbol: str, lane: Lane | None) -> None:
        """`lane` has parcels of `symbol`; None: no lane has any more."""
        ...

    def give_back(self, parcels: Iterable[Parcel]) -> None:
        """The peer did not take these. They are older than any that are not in a lane."""
        ...

    def let_in(self, bars: int) -> None:
        """So many bars are no longer on their way."""
        ...


class Lane:
    """The way to one peer: one call at a time, with all that has come meanwhile."""

    def __init__(self, depot: Depot, peer: Peer) -> None:
        self._depot = depot
        self._peer = peer
        self._parcels: deque[Parcel] = deque()
        self._parcels_of: Counter[str] = Counter()
        self._news = asyncio.Event()
        self._singly = 0

    def add(self, parcel: Parcel) -> None:
        """One more parcel, behind the others."""
        self._parcels.append(parcel)
        self._parcels_of[parcel.symbol] += 1
        self._depot.on_lane(parcel.symbol, self)
        self._news.set()

    async def run(self) -> None:
        """Bring parcels to the peer until cancelled."""
        while True:
            await self._news.wait()
            self._news.clear()
            while self._parcels:
                await self._bring(self._load())

    def _load(self) -> list[Parcel]:
        """The first parcels, as many as go in one call."""
        load: list[Parcel] = []
        bars = 0
        most = 1 if self._singly else CALL_BARS
        self._singly = max(0, self._singly - 1)
        while self._parcels and (not load or bars + len(self._parcels[0].at) <= most):
            parcel = self._parcels.popleft()
            if parcel.flow.broken_by is not None:
                self._leaves(parcel)
                parcel.refuse(parcel.flow.broken_by)
                continue
            bars += len(parcel.at)
            load.append(parcel)
        return load

    async def _bring(self, load: Sequence[Parcel]) -> None:
        bars = [bar for parcel in load for bar in parcel.bars]
        if not bars:
            return
        try:
            results = await self._peer.process(bars)
        except PeerGone:
            self._return([*load, *self._parcels])
            self._parcels.clear()
        except Exception as defect:
            if len(load) == 1:
                self._leaves(load[0])
                load[0].refuse(defect)
            else:  # its neighbours are not to suffer from what one of them runs into
                self._parcels.extendleft(reversed(load))
                self._singly = len(load)
        else:
            self._distribute(load, results)

    def _distribute(self, load: Sequence[Parcel], results: Sequence[Result]) -> None:
        refused: list[Parcel] = []
        first = 0
        for parcel in load:
            own = results[first : first + len(parcel.at)]
            first += len(parcel.at)
            if any(isinstance(result, OwnerUnavailable | ShuttingDown) for result in own):
                refused.append(parcel)
            else:
                self._leaves(parcel)
                parcel.settle(own)
        symbols = {parcel.symbol for parcel in refused}
        behind = [parcel for parcel in self._parcels if parcel.symbol in symbols]
        self._parcels = deque(parcel for parcel in self._parcels if parcel.symbol not in symbols)
        self._return([*refused, *behind])

    def _return(self, parcels: Sequence[Parcel]) -> None:
        for parcel in parcels:
            self._leaves(parcel, settled=False)
        self._depot.give_back(parcels)

    def _leaves(self, parcel: Parcel, *, settled: bool = True) -> None:
        self._parcels_of[parcel.symbol] -= 1
        if not self._parcels_of[parcel.symbol]:
            del self._parcels_of[parcel.symbol]
            self._depot.on_lane(parcel.symbol, None)
        if settled:
            self._depot.let_in(len(parcel.at))
