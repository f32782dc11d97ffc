"""What callers hand to the engine, and what they get back."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from ...domain.bars import Bar
from ...domain.errors import ServiceError, ShuttingDown, StorageUnavailable
from ...domain.events import Receipt


@dataclass(slots=True)
class PublishStream:
    """The bars of one publisher, which are processed in order over any number of commands.

    broken_by: why bars of the stream could not be stored, None as long as all could. Later bars of the stream are then
    refused for the same reason: stored before the refused ones, they would make those late when they are sent again.
    session: the database session under which the first bars were queued.
    """

    broken_by: Exception | None = None
    session: UUID | None = None


class Publication(Protocol):
    """Bars that were queued."""

    async def results(self) -> list[Receipt | ServiceError]:
        """Wait until the result of every bar is known. See MarketDataSink.publish."""
        ...


class BarPublisher(Protocol):
    """Processes bars of any symbol: the engine, or a router in front of it."""

    async def publish(self, bars: Sequence[Bar]) -> list[Receipt | ServiceError]:
        """Process bars in their order and commit them. See MarketDataSink."""
        ...

    async def enqueue(self, bars: Sequence[Bar], stream: PublishStream) -> Publication:
        """Queue bars as soon as there is room, without waiting until they are committed."""
        ...


@dataclass(frozen=True, slots=True)
class QueuedPublication:
    """Bars in the engine's queue: for each command, the number of its bars and their results."""

    commands: Sequence[tuple[int, asyncio.Future[list[Receipt | ServiceError]]]]

    async def results(self) -> list[Receipt | ServiceError]:
        """See Publication."""
        results: list[Receipt | ServiceError] = []
        for bars, receipts in self.commands:
            try:
                results.extend(await receipts)
            except (StorageUnavailable, ShuttingDown) as error:
                results.extend([error] * bars)
        return results
