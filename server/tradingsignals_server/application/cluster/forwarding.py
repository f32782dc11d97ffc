"""Calls about one symbol, run by the server that owns the symbol."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from ...domain.errors import NotAPeer, OwnerUnavailable, ShuttingDown
from ..ports.peer import Peer, PeerAt, PeerError
from .router import PAUSE_SECONDS, TAKEOVER_SECONDS, Router

Response = TypeVar("Response")

_NOTHING_DONE = frozenset({OwnerUnavailable.reason, ShuttingDown.reason, NotAPeer.reason})
"""Reasons of a peer's error after which the call may be made again elsewhere."""


class OwnerForwarding:
    """Runs a call here if this server owns the symbol or can take it over, and at the owner otherwise."""

    def __init__(self, router: Router, peer_at: PeerAt) -> None:
        self._router = router
        self._peer_at = peer_at

    async def run(
        self, symbol: str, here: Callable[[], Awaitable[Response]], at_peer: Callable[[Peer], Awaitable[bytes]]
    ) -> Response | bytes:
        """Run a call at the owner of `symbol`, trying again for TAKEOVER_SECONDS while the symbol changes owners.

        Args:
            symbol: what the call is about.
            here: runs the call on this server.
            at_peer: forwards the call to a peer; returns the serialised response.

        Raises:
            OwnerUnavailable: no server owned the symbol in time.
            PeerError: the owner's error.
            StorageUnavailable: the connection to the owner was lost; the call may have been carried out.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + TAKEOVER_SECONDS
        while True:
            try:
                address = await self._router.address_of(symbol)
                if address is None:
                    return await here()
                return await at_peer(await self._connected(symbol, address, deadline))
            except OwnerUnavailable:
                if loop.time() >= deadline:
                    raise
            except PeerError as error:
                # After other errors the call may have been carried out.
                if error.reason not in _NOTHING_DONE or loop.time() >= deadline:
                    raise
            self._router.forget(symbol)
            await asyncio.sleep(PAUSE_SECONDS)

    async def run_forwarded(self, symbol: str, here: Callable[[], Awaitable[Response]]) -> Response:
        """Run a call that a peer has forwarded; it is never forwarded again.

        Raises:
            OwnerUnavailable: another server owns the symbol.
        """
        self._router.forget(symbol)
        if await self._router.address_of(symbol) is not None:
            raise OwnerUnavailable(symbol)
        return await here()

    async def _connected(self, symbol: str, address: str, deadline: float) -> Peer:
        peer = self._peer_at(address)
        try:
            async with asyncio.timeout_at(deadline):
                if await peer.ready():
                    return peer
        except TimeoutError:
            pass
        raise OwnerUnavailable(symbol)
