"""Bars on their way to the server that has their symbol, and what becomes of them."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass

from ...domain.bars import Bar
from ...domain.errors import ServiceError, ShuttingDown, StorageUnavailable
from ...domain.events import Receipt
from ..ingest.commands import PublishStream, QueuedPublication

Result = Receipt | ServiceError
"""What became of a bar."""


class Spread:
    """Bars of one publisher on several ways, and their results as they come in. Implements work.Publication."""

    def __init__(self, bars: Sequence[Bar]) -> None:
        self.bars = bars
        self._results: list[Result | None] = [None] * len(bars)
        self._on_the_way = len(bars)
        self._here: list[tuple[Sequence[int], QueuedPublication]] = []
        self._known = asyncio.Event()
        self._defect: Exception | None = None

    async def results(self) -> list[Result]:
        """See Publication."""
        await self._known.wait()
        if self._defect is not None:
            raise self._defect
        for at, publication in self._here:
            for index, result in zip(at, await publication.results(), strict=True):
                self._results[index] = result
        return [result for result in self._results if result is not None]

    def settle(self, at: Sequence[int], results: Sequence[Result]) -> None:
        """It is known what became of the bars at these places."""
        for index, result in zip(at, results, strict=True):
            self._results[index] = result
        self._arrived(len(at))

    def hand_over(self, at: Sequence[int], publication: QueuedPublication) -> None:
        """The bars at these places stand in the engine's line."""
        self._here.append((at, publication))
        self._arrived(len(at))

    def fail(self, defect: Exception) -> None:
        """There will be no results."""
        self._defect = defect
        self._known.set()

    def _arrived(self, bars: int) -> None:
        self._on_the_way -= bars
        if self._on_the_way == 0:
            self._known.set()


@dataclass(slots=True)
class Parcel:
    """Bars of one publisher and one symbol; `at` are their places in the publication."""

    symbol: str
    publication: Spread
    at: Sequence[int]
    flow: PublishStream
    deadline: float = math.inf
    not_before: float = 0.0

    @property
    def bars(self) -> list[Bar]:
        return [self.publication.bars[index] for index in self.at]

    def settle(self, results: Sequence[Result]) -> None:
        """Tell the publisher. One that may be sent again keeps those behind it from overtaking it."""
        for result in results:
            if isinstance(result, StorageUnavailable | ShuttingDown) and self.flow.broken_by is None:
                self.flow.broken_by = result
        self.publication.settle(self.at, results)

    def refuse(self, error: Exception) -> None:
        """Tell the publisher that none of the bars was taken, and why."""
        if isinstance(error, ServiceError):
            self.settle([error] * len(self.at))
        else:
            self.flow.broken_by = self.flow.broken_by or error
            self.publication.fail(error)
