"""An outcome store in memory, on the events of a memory store."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

from tests.support.memory_store import MemoryStore

from tradingsignals_server.application.ports.outcomes import (
    LIVE,
    LedgerPlace,
    OutcomePage,
    OutcomeQuery,
    PolicyEvent,
    StoredLedger,
)
from tradingsignals_server.domain.events import MarketUpdate, TradingControl
from tradingsignals_server.domain.ledger import LEDGER_VERSION
from tradingsignals_server.domain.outcomes import Outcome
from tradingsignals_server.domain.positions import Position


class MemoryOutcomes:
    """Implements application.ports.outcomes.OutcomeStore. `commits` counts the commits, and each sets `committed`."""

    def __init__(self, store: MemoryStore | None = None) -> None:
        self._store = store or MemoryStore()
        self.place = LedgerPlace(0, LEDGER_VERSION)
        self.entries: dict[tuple[str, str], str] = {}
        self.outcomes: list[Outcome] = []
        self.commits = 0
        self.committed = asyncio.Event()

    async def load_ledger(self) -> StoredLedger:
        """See OutcomeStore."""
        await self._store.ping()
        return StoredLedger(self.place, {key: json.loads(text) for key, text in self.entries.items()})

    async def ledger_events(self, after: int, through: int) -> Sequence[PolicyEvent]:
        """See OutcomeStore."""
        await self._store.ping()
        return [
            PolicyEvent(None if isinstance(event, MarketUpdate) else LIVE, event)
            for event in self._store.events[after:through]
            if not (isinstance(event, Position) and event.is_open and event.bars_held)
            and not isinstance(event, TradingControl)
        ]

    async def commit_ledger(
        self,
        before: LedgerPlace,
        sequence: int,
        outcomes: Sequence[Outcome],
        entries: Mapping[tuple[str, str], Sequence[Any]],
    ) -> bool:
        """See OutcomeStore."""
        await self._store.ping()
        if self.place != before:
            return False
        self.place = LedgerPlace(sequence, before.version)
        replaced = {outcome.outcome_id for outcome in outcomes}
        self.outcomes = [*(one for one in self.outcomes if one.outcome_id not in replaced), *outcomes]
        self.entries |= {key: json.dumps(state) for key, state in entries.items()}
        self.commits += 1
        self.committed.set()
        return True

    async def restart_ledger(self, version: int) -> int:
        """See OutcomeStore."""
        self.place, self.entries, self.outcomes = LedgerPlace(self._store.oldest - 1, version), {}, []
        return self.place.sequence

    async def list_outcomes(self, query: OutcomeQuery, before: int | None, limit: int) -> OutcomePage:
        """See OutcomeStore."""
        await self._store.ping()
        found = [
            (number, one)
            for number, one in enumerate(self.outcomes, 1)
            if query.symbol in {None, one.symbol}
            and query.action in {None, one.action}
            and query.resolution in {None, one.resolution}
            and query.fill in {None, one.fill}
            and query.model_version in {None, one.model_version}
            and query.shadow in {None, one.shadow}
            and (query.start is None or query.start <= one.exit_time)
            and (query.end is None or one.exit_time < query.end)
            and (before is None or number < before)
        ][::-1]
        page = found[:limit]
        more = len(found) > limit
        return OutcomePage([one for _, one in page], page[-1][0] if more else None, self.place.sequence)
