"""The engine on a real store, with its writer running."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tradingsignals_server.adapters.placeholder_policy import PlaceholderPolicy
from tradingsignals_server.application.decision.pipeline import Pipeline
from tradingsignals_server.application.decision.trader import Trader
from tradingsignals_server.application.event_log.tail import LogTail
from tradingsignals_server.application.ingest.engine import Engine
from tradingsignals_server.application.ports.clock import Clock
from tradingsignals_server.application.ports.policy import Policy
from tradingsignals_server.application.ports.store import Store
from tradingsignals_server.domain.bars import Bar
from tradingsignals_server.domain.calendar import calendar_for
from tradingsignals_server.domain.events import Receipt
from tradingsignals_server.domain.risk import RiskRules

from .builders import now
from .deadlines import within


@dataclass(frozen=True, slots=True)
class RunningEngine:
    """A running engine and its event log."""

    engine: Engine
    pipeline: Pipeline
    log_tail: LogTail

    async def publish(self, bars: Sequence[Bar]) -> list[Receipt]:
        """Publish bars, none of which may be refused, and return their receipts."""
        receipts = []
        for result in await within(self.engine.publish(bars)):
            assert isinstance(result, Receipt), result
            receipts.append(result)
        return receipts


@asynccontextmanager
async def running_engine(
    store: Store,
    *,
    policy: Policy | None = None,
    shadow: Policy | None = None,
    rules: RiskRules | None = None,
    clock: Clock = now,
) -> AsyncIterator[RunningEngine]:
    """An engine as a starting server makes it, with a clock that stands still; without a policy on a placeholder."""
    log_tail = LogTail(store, await store.log_head())
    live = Trader(policy or PlaceholderPolicy(), rules or RiskRules())
    pipeline = Pipeline(live, calendar_for, None if shadow is None else Trader(shadow, live.rules))
    engine = Engine(store, pipeline, log_tail, clock)
    writer = asyncio.create_task(engine.run())
    try:
        yield RunningEngine(engine, pipeline, log_tail)
    finally:
        await engine.stop()
        await within(writer)
