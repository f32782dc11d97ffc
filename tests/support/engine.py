"""The engine on a real store, with its writer running."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tests.unit.builders import now

from tradingsignals_server.adapters.placeholder_policy import PlaceholderPolicy
from tradingsignals_server.application.broadcast import Broadcast
from tradingsignals_server.application.engine import Engine
from tradingsignals_server.application.pipeline import Pipeline
from tradingsignals_server.application.ports import Clock, Store
from tradingsignals_server.domain.bars import Bar
from tradingsignals_server.domain.calendar import calendar_for
from tradingsignals_server.domain.events import Receipt
from tradingsignals_server.domain.risk import RiskRules

from .deadlines import within


@dataclass(frozen=True, slots=True)
class RunningEngine:
    """An engine at work, and those who follow it."""

    engine: Engine
    broadcast: Broadcast

    async def publish(self, bars: Sequence[Bar]) -> list[Receipt]:
        """Publish bars of which none is refused; returns their receipts."""
        receipts = []
        for answer in await within(self.engine.publish(bars)):
            assert isinstance(answer, Receipt), answer
            receipts.append(answer)
        return receipts


@asynccontextmanager
async def running_engine(
    store: Store, *, rules: RiskRules | None = None, clock: Clock = now
) -> AsyncIterator[RunningEngine]:
    """An engine as a starting server makes it, with a placeholder for a model and a clock that stands still."""
    broadcast = Broadcast(store, await store.log_head())
    engine = Engine(store, Pipeline(PlaceholderPolicy(), rules or RiskRules(), calendar_for), broadcast, clock)
    writer = asyncio.create_task(engine.run())
    try:
        yield RunningEngine(engine, broadcast)
    finally:
        await engine.stop()
        await within(writer)
