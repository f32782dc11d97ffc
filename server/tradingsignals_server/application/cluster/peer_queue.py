"""Queues of bars by symbol, and their way to a peer."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ...domain.errors import OwnerUnavailable, ShuttingDown
from ..ports.feed import BarResult
from ..ports.peer import Peer, PeerGone
from .queued_bars import QueuedBars

CALL_BARS = 256
"""Bars of one call to a peer, of any number of publishers; one publisher's may be more."""


@dataclass(slots=True, eq=False)
class SymbolQueue:
    """The bars of one symbol that wait for its owner, in order.

    They stay here until their results are known, so that they can be sent to the next owner if a peer does not process
    them. `peer` is the queue that sends them, None while the owner is unknown; `retry_at` the time, by the loop's
    clock, of the next attempt to find it.
    """

    symbol: str
    bars: deque[QueuedBars] = field(default_factory=deque)
    peer: PeerQueue | None = None
    retry_at: float = 0.0


class PeerQueue:
    """Sends bars to one peer, one call at a time, each with all that was queued during the one before."""

    def __init__(self, peer: Peer, give_back: Callable[[SymbolQueue], None]) -> None:
        """`give_back` takes a symbol of which all bars are sent, or which the peer does not own any more."""
        self._peer = peer
        self._give_back = give_back
        self._queues: dict[str, SymbolQueue] = {}
        self._added = asyncio.Event()
        self._one_by_one = 0

    def add(self, queue: SymbolQueue) -> None:
        """Send the bars of one more symbol."""
        queue.peer = self
        self._queues[queue.symbol] = queue
        self._added.set()

    async def run(self) -> None:
        """Send bars until cancelled."""
        while True:
            await self._added.wait()
            self._added.clear()
            while self._queues:
                await self._send(self._next_call())

    def _next_call(self) -> list[QueuedBars]:
        """Return the first bars of the symbols in turn, as many as go into one call."""
        call: list[QueuedBars] = []
        bars = 0
        limit = 1 if self._one_by_one else CALL_BARS
        self._one_by_one = max(0, self._one_by_one - 1)
        for queue in self._queues.values():
            for queued in list(queue.bars):
                if queued.stream.broken_by is not None:
                    queue.bars.remove(queued)
                    queued.refuse(queued.stream.broken_by)
                elif call and bars + len(queued.indexes) > limit:
                    return call
                else:
                    call.append(queued)
                    bars += len(queued.indexes)
        return call

    async def _send(self, call: Sequence[QueuedBars]) -> None:
        lost: set[str] = set()
        try:
            results = await self._peer.process([bar for queued in call for bar in queued.bars]) if call else ()
        except PeerGone:
            lost.update(self._queues)
        except Exception as defect:
            if len(call) > 1:  # bars of other publishers must not fail with the ones that cause it
                self._one_by_one = len(call)
                return
            self._queues[call[0].symbol].bars.remove(call[0])
            call[0].refuse(defect)
        else:
            lost.update(self._settle(call, results))
        self._take_turns(call, lost)

    def _settle(self, call: Sequence[QueuedBars], results: Sequence[BarResult]) -> set[str]:
        """Set results; return the symbols that the peer does not own."""
        lost: set[str] = set()
        first = 0
        for queued in call:
            own = results[first : first + len(queued.indexes)]
            first += len(queued.indexes)
            if any(isinstance(result, OwnerUnavailable | ShuttingDown) for result in own):
                lost.add(queued.symbol)
            else:
                self._queues[queued.symbol].bars.remove(queued)
                queued.settle(own)
        return lost

    def _take_turns(self, call: Sequence[QueuedBars], lost: set[str]) -> None:
        """Put the symbols that were sent behind the others; give back those that are lost or have no further bars."""
        for symbol in dict.fromkeys(queued.symbol for queued in call):
            self._queues[symbol] = self._queues.pop(symbol)
        for symbol, queue in list(self._queues.items()):
            if symbol in lost or not queue.bars:
                del self._queues[symbol]
                queue.peer = None
                self._give_back(queue)
