"""The feed port: a source of bars, and where it delivers them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from ...domain.bars import Bar
from ...domain.errors import ServiceError
from ...domain.events import Receipt

BarResult = Receipt | ServiceError
"""Result of publishing one bar: its receipt, or the error it was refused with."""

ReportProblem = Callable[[str, str | None], None]
"""Called with a subject and a sentence that says what keeps its bars from coming; with None once that is over."""


class MarketDataSink(Protocol):
    """Where a feed delivers bars."""

    async def publish(self, bars: Sequence[Bar]) -> list[BarResult]:
        """Process bars in their order and commit them.

        Returns one result a bar, in the same order: its receipt once it is durable, or why it was refused
        (InvalidBar, BarConflict). A StorageUnavailable or ShuttingDown result means that the bar is not stored and may
        be published again.
        """
        ...

    async def last_bar(self, symbol: str) -> Bar | None:
        """Return the newest bar of `symbol` that was processed, or None."""
        ...


class Feed(Protocol):
    """A source of bars that runs inside the server."""

    async def run(self, sink: MarketDataSink) -> None:
        """Deliver bars until there are no more, or until cancelled."""
        ...
