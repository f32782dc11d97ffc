"""What callers ask of the engine: the commands, and the publish stream that keeps bars of one publisher in order."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from typing import ClassVar, Protocol
from uuid import UUID

from ...domain.bars import Bar
from ...domain.errors import ShuttingDown, StorageUnavailable
from ...domain.values import dataclass
from ..decision.quotes import Quote
from ..decision.trader import Trader
from ..ports.feed import BarResult


@dataclass(frozen=True, slots=True)
class Command:
    """A request to the engine.

    is_exclusive: it is handled when all commands before it are done, and before any command behind it begins.
    """

    is_exclusive: ClassVar[bool] = False

    @property
    def symbols(self) -> frozenset[str]:
        """The symbols that it reads or changes."""
        return frozenset()


@dataclass(slots=True)
class PublishStream:
    """The bars of one publisher, which are processed in order over any number of commands.

    broken_by: why bars of the stream could not be stored, None as long as all could. Later bars of the stream are then
    refused for the same reason: stored before the refused ones, they would make those late when they are sent again.
    lease_id: the lease under which the first bars were queued. See Ownership.
    """

    broken_by: Exception | None = None
    lease_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class PublishBars(Command):
    """Process bars in their order. Result: list[BarResult], one a bar."""

    bars: Sequence[Bar]
    stream: PublishStream

    @property
    def symbols(self) -> frozenset[str]:
        """See Command."""
        return frozenset(bar.symbol for bar in self.bars)


@dataclass(frozen=True, slots=True)
class SymbolCommand(Command):
    """A command on one symbol."""

    symbol: str

    @property
    def symbols(self) -> frozenset[str]:
        """See Command."""
        return frozenset((self.symbol,))


@dataclass(frozen=True, slots=True)
class GenerateSignal(SymbolCommand):
    """Make a signal at a quote, and act on it. Result: the signal as committed, encoded."""

    quote: Quote


@dataclass(frozen=True, slots=True)
class GenerateFromStored(SymbolCommand):
    """Make a signal from the newest `lookback_bars` stored bars, and act on it. Result: see GenerateSignal.

    stored: bars read from the store, oldest first; None if those in memory are the newest and reach back far enough.
    """

    lookback_bars: int
    stored: Sequence[Bar] | None


@dataclass(frozen=True, slots=True)
class ClosePosition(SymbolCommand):
    """Close the position at `price`, at its last mark if that is None. Result: the position as committed, encoded."""

    position_id: UUID
    price: float | None


@dataclass(frozen=True, slots=True)
class ReadLastBar(SymbolCommand):
    """Read the newest bar that was processed. Result: Bar | None."""


@dataclass(frozen=True, slots=True)
class ControlTrading(Command):
    """Halt or resume trading for all symbols, with the reason and the name that the caller gives. Result: Account."""

    halted: bool
    reason: str
    by: str


@dataclass(frozen=True, slots=True)
class SwapModel(Command):
    """Decide with other traders from now on. Result: None."""

    is_exclusive: ClassVar[bool] = True
    live: Trader
    shadow: Trader | None


@dataclass(frozen=True, slots=True)
class ReleaseSymbols(Command):
    """Give up the symbols of these buckets. Result: None."""

    is_exclusive: ClassVar[bool] = True
    buckets: Collection[int]


class Publication(Protocol):
    """Bars that were queued."""

    async def results(self) -> list[BarResult]:
        """Wait until the result of every bar is known. See MarketDataSink.publish."""
        ...


class BarPublisher(Protocol):
    """Processes bars of any symbol: the engine, or a router in front of it."""

    async def publish(self, bars: Sequence[Bar]) -> list[BarResult]:
        """Process bars in their order and commit them. See MarketDataSink."""
        ...

    async def enqueue(self, bars: Sequence[Bar], stream: PublishStream) -> Publication:
        """Queue bars as soon as there is room, without waiting until they are committed."""
        ...


@dataclass(frozen=True, slots=True)
class QueuedPublication:
    """Bars in the engine's queue: for each command, the number of its bars and their results."""

    commands: Sequence[tuple[int, asyncio.Future[list[BarResult]]]]

    async def results(self) -> list[BarResult]:
        """See Publication."""
        results: list[BarResult] = []
        for bars, receipts in self.commands:
            try:
                results.extend(await receipts)
            except (StorageUnavailable, ShuttingDown) as error:
                results.extend([error] * bars)
        return results
