"""Bars that wait for the owner of their symbol, and the results of a publication that was split by owners."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass

from ...domain.bars import Bar
from ...domain.errors import ServiceError, ShuttingDown, StorageUnavailable
from ..ingest.commands import Publication, PublishStream
from ..ports.feed import BarResult


class SplitPublication:
    """Bars of one publisher that go to more than one owner, and their results. Implements Publication."""

    def __init__(self, bars: Sequence[Bar]) -> None:
        self.bars = bars
        self._results: list[BarResult | None] = [None] * len(bars)
        self._pending = len(bars)
        self._in_engine: list[tuple[Sequence[int], Publication]] = []
        self._complete = asyncio.Event()
        self._defect: Exception | None = None

    async def results(self) -> list[BarResult]:
        """See Publication."""
        await self._complete.wait()
        if self._defect is not None:
            raise self._defect
        for indexes, publication in self._in_engine:
            for index, result in zip(indexes, await publication.results(), strict=True):
                self._results[index] = result
        return [result for result in self._results if result is not None]

    def settle(self, indexes: Sequence[int], results: Sequence[BarResult]) -> None:
        """Set the results of the bars at these indexes."""
        for index, result in zip(indexes, results, strict=True):
            self._results[index] = result
        self._complete_some(len(indexes))

    def continue_in_engine(self, indexes: Sequence[int], publication: Publication) -> None:
        """Take the results of the bars at these indexes from the engine's queue."""
        self._in_engine.append((indexes, publication))
        self._complete_some(len(indexes))

    def fail(self, defect: Exception) -> None:
        """Raise `defect` in place of results."""
        self._defect = defect
        self._complete.set()

    def _complete_some(self, bars: int) -> None:
        self._pending -= bars
        if self._pending == 0:
            self._complete.set()


class Capacity:
    """Bounds how many bars wait for their owners."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._used = 0
        self._freed = asyncio.Event()

    async def wait(self) -> None:
        """Wait until more bars may be queued."""
        while self._used >= self._limit:
            self._freed.clear()
            await self._freed.wait()

    def take(self, bars: int) -> None:
        """Count bars that wait."""
        self._used += bars

    def free(self, bars: int) -> None:
        """Count bars that wait no longer."""
        self._used -= bars
        self._freed.set()


@dataclass(slots=True, eq=False)
class QueuedBars:
    """Bars of one publisher and one symbol, in order.

    indexes: where they are in the publication. deadline: until when an owner must be found, by the loop's clock.
    """

    symbol: str
    publication: SplitPublication
    indexes: Sequence[int]
    stream: PublishStream
    capacity: Capacity
    deadline: float = math.inf

    def __post_init__(self) -> None:
        self.capacity.take(len(self.indexes))

    @property
    def bars(self) -> list[Bar]:
        """The bars."""
        return [self.publication.bars[index] for index in self.indexes]

    def settle(self, results: Sequence[BarResult]) -> None:
        """Set the results. A bar that may be sent again breaks its stream, so that later bars do not overtake it."""
        self.capacity.free(len(self.indexes))
        for result in results:
            if isinstance(result, StorageUnavailable | ShuttingDown) and self.stream.broken_by is None:
                self.stream.broken_by = result
        self.publication.settle(self.indexes, results)

    def refuse(self, error: Exception) -> None:
        """Refuse all bars with the same error."""
        if isinstance(error, ServiceError):
            self.settle([error] * len(self.indexes))
        else:
            self.capacity.free(len(self.indexes))
            self.stream.broken_by = self.stream.broken_by or error
            self.publication.fail(error)

    def continue_in_engine(self, publication: Publication) -> None:
        """Take the results from the engine's queue."""
        self.capacity.free(len(self.indexes))
        self.publication.continue_in_engine(self.indexes, publication)
