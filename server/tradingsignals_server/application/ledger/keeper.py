"""Keeps the ledger: follows the log, folds it into outcomes, and commits these with its place in the log.

It works behind the engine, from what is committed, and waits until a burst of commits is over: a bar, its signal and
its commit do not depend on it. After a restart it goes on where its last commit left it, so whatever ends a server
between two commits, the outcomes are those of a ledger that was folded at once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any, Final

from ...domain.errors import StorageUnavailable
from ...domain.events import MarketUpdate
from ...domain.ledger import LEDGER_VERSION, Ledger
from ...domain.outcomes import Outcome
from ..event_log.tail import LogTail
from ..ports.clock import Sleep
from ..ports.outcomes import LedgerPlace, OutcomeStore, PolicyEvent

WINDOW_ENTRIES: Final = 512
"""Entries of the log that are read, folded and committed at once."""

EVENTS_A_TURN: Final = 4
"""Events folded before other tasks have their turn: a bar advances up to two entries for each signal of its session."""

QUIET_SECONDS: Final = 0.25
"""Pause after the log has grown, so that the engine has committed what belongs together."""

RETRY_SECONDS: Final = 2.0

log = logging.getLogger(__name__)


class OutcomeKeeper:
    """Keeps the ledger of one database. Only one server does so at a time, and a second one changes nothing.

    make_ledger: makes an empty ledger, given the key of a shadow policy, or LIVE (see ports.outcomes).
    """

    def __init__(
        self,
        store: OutcomeStore,
        log_tail: LogTail,
        make_ledger: Callable[[str], Ledger],
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._store = store
        self._log_tail = log_tail
        self._make_ledger = make_ledger
        self._sleep = sleep
        self._grown = asyncio.Event()
        self._ledgers: dict[str, Ledger] = {}
        self._place: LedgerPlace | None = None
        self._read_through = 0

    async def run(self) -> None:
        """Follow the log until cancelled."""
        unsubscribe = self._log_tail.subscribe(self._grown.set)
        try:
            while await self._follow():
                await self._grown.wait()
                await self._sleep(QUIET_SECONDS)
        finally:
            unsubscribe()

    async def _follow(self) -> bool:
        """Catch up, however often it takes; False if this program cannot continue the ledger."""
        while True:
            self._grown.clear()
            try:
                return await self.catch_up()
            except StorageUnavailable:
                log.warning("outcomes wait: the database cannot be reached")
            except Exception:
                log.exception("outcomes could not be followed; they are tried again")
            self._place = None
            await self._sleep(RETRY_SECONDS)

    async def catch_up(self) -> bool:
        """Follow the log to its end as it is now.

        Returns False if the stored ledger is of another version of the rules, and so has to be rebuilt.

        Raises:
            StorageUnavailable: the database cannot be reached.
        """
        while True:
            if self._place is None and not await self._load():
                return False
            newest = self._log_tail.newest
            if self._read_through >= newest:
                return True
            await self._advance(min(self._read_through + WINDOW_ENTRIES, newest))

    async def _load(self) -> bool:
        stored = await self._store.load_ledger()
        if stored.place.version != LEDGER_VERSION:
            log.error(
                "outcomes are of version %d of the rules, and this program has version %d: run `tradingsignals ledger "
                "rebuild`; no outcome is stored until then",
                stored.place.version,
                LEDGER_VERSION,
            )
            return False
        self._ledgers.clear()
        for (policy, symbol), entries in stored.entries.items():
            self._ledger_of(policy).restore(symbol, entries)
        self._place, self._read_through = stored.place, stored.place.sequence
        return True

    async def _advance(self, through: int) -> None:
        """Fold the entries up to `through`, and commit what came of them."""
        before = self._place
        if before is None:
            return
        outcomes, changed = await self._fold(await self._store.ledger_events(self._read_through, through))
        self._read_through = through
        if not outcomes and not changed:
            return  # they will be read again after a restart
        entries: dict[tuple[str, str], Sequence[Any]] = {
            (policy, symbol): self._ledger_of(policy).state_of(symbol) for policy, symbol in changed
        }
        if await self._store.commit_ledger(before, through, outcomes, entries):
            self._place = LedgerPlace(through, LEDGER_VERSION)
        else:
            log.warning("the ledger was moved by another process; it is read anew")
            self._place = None

    async def _fold(self, events: Sequence[PolicyEvent]) -> tuple[list[Outcome], set[tuple[str, str]]]:
        outcomes, changed = list[Outcome](), set[tuple[str, str]]()
        for number, each in enumerate(events, 1):
            event = each.event
            symbol = event.bar.symbol if isinstance(event, MarketUpdate) else event.symbol
            for policy in [*self._ledgers] if each.policy is None else [each.policy]:
                ledger = self._ledger_of(policy)
                if each.policy is None and not ledger.open_entries(symbol):
                    continue
                outcomes += ledger.apply(event)
                changed.add((policy, symbol))
            if number % EVENTS_A_TURN == 0:
                await asyncio.sleep(0)
        return outcomes, changed

    def _ledger_of(self, policy: str) -> Ledger:
        if policy not in self._ledgers:
            self._ledgers[policy] = self._make_ledger(policy)
        return self._ledgers[policy]
