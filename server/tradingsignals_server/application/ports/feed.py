"""The feed port: a source of bars, and where it delivers them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ...domain.bars import Bar
from ...domain.errors import ServiceError
from ...domain.events import Receipt


class MarketDataSink(Protocol):
    """Where a feed delivers bars: the engine."""

    async def publish(self, bars: Sequence[Bar]) -> list[Receipt | ServiceError]:
        """Process bars in their order and commit them.

        Returns one entry a bar, in the same order: its receipt once it is durable, or why it was refused
        (InvalidBar, BarConflict). A StorageUnavailable or ShuttingDown entry means that the bar is not stored and may
        be published again.
        """
        ...

    async def last_bar(self, symbol: str) -> Bar | None:
        """The newest bar of `symbol` that was processed, or None."""
        ...


class Feed(Protocol):
    """A source of bars that runs inside the server."""

    name: str

    async def run(self, sink: MarketDataSink) -> None:
        """Deliver bars until there are no more, or until cancelled."""
        ...
