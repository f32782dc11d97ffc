"""Keeps ledger and account: follows the log, folds it into outcomes and equity, and commits these with its place in it.

It works behind the engine, from what is committed, and waits until a burst of commits is over: a bar, its signal and
its commit do not depend on it. After a restart it goes on where its last commit left it, so whatever ends a server
between two commits, outcomes and account are those of a log that was folded at once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any, Final

from ...domain.account import Account
from ...domain.equity import AccountFold
from ...domain.errors import StorageUnavailable
from ...domain.events import MarketUpdate, TradingControl
from ...domain.ledger import LEDGER_VERSION, FollowedSignal, Ledger, LedgerEvent
from ...domain.positions import Position, revalued
from ...domain.values import dataclass
from ..event_log.tail import LogTail
from ..ports.clock import Clock, Sleep
from ..ports.event_log import LogEntry
from ..ports.observer import LedgerObserver
from ..ports.outcomes import (
    LIVE,
    LedgerCommit,
    LedgerPlace,
    OutcomeStore,
    PolicyEvent,
    ResolvedOutcome,
    StoredAccount,
)

WINDOW_ENTRIES: Final = 512
"""Entries of the log that are read, folded and committed at once."""

EVENTS_A_TURN: Final = 4
"""Events folded before other tasks have their turn: a bar advances up to two entries for each signal of its session."""

QUIET_SECONDS: Final = 0.25
"""Pause after the log has grown, so that the engine has committed what belongs together."""

RETRY_SECONDS: Final = 2.0

REBUILT_CHECK_SECONDS: Final = 5.0
"""Between two checks whether a ledger of another version has been rebuilt."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Books:
    """What a keeper keeps, as it begins.

    make_ledger: makes an empty ledger, given the key of a shadow policy, or LIVE (see ports.outcomes).
    account: without positions. currency: ISO 4217 code of its amounts.
    """

    make_ledger: Callable[[str], Ledger]
    account: Account
    currency: str


class LedgerKeeper:
    """Keeps ledger and account of one database. Only one server does so at a time, and a second one changes nothing.

    Args:
        store: of outcomes, account and equity.
        log_tail: the log that it follows.
        books: how they begin.
        clock: gives the time of the entries that it appends to the log.
        appended: called with these entries, once they are committed.
        sleep: pauses.
        observer: is notified of outcomes.
    """

    def __init__(
        self,
        store: OutcomeStore,
        log_tail: LogTail,
        books: Books,
        clock: Clock,
        appended: Callable[[Sequence[LogEntry]], None],
        sleep: Sleep = asyncio.sleep,
        observer: LedgerObserver | None = None,
    ) -> None:
        self._store = store
        self._log_tail = log_tail
        self._books = books
        self._clock = clock
        self._appended = appended
        self._sleep = sleep
        self._observer = observer
        self._grown = asyncio.Event()
        self._ledgers: dict[str, Ledger] = {}
        self._fold_of_account = self._account_fold(books.account)
        self._place: LedgerPlace | None = None
        self._is_kept = False
        self._read_through = 0
        self._reported = 0
        self._refused_version: int | None = None

    @property
    def account(self) -> Account | None:
        """The account as far as the log was followed; None while this keeper does not keep it."""
        return None if self._place is None else self._fold_of_account.account

    @property
    def lag(self) -> int | None:
        """Entries of the log that were not followed yet; None while this keeper does not keep the ledger.

        It is known between the attempts of a commit that fails too.
        """
        return max(0, self._log_tail.newest - self._read_through) if self._is_kept else None

    async def run(self) -> None:
        """Follow the log until cancelled. It may be called again: what a cancelled call had folded is read anew.

        A ledger of another version of the rules is left alone until it has been rebuilt.
        """
        self._place = None
        unsubscribe = self._log_tail.subscribe(self._grown.set)
        try:
            while True:
                if await self._follow():
                    await self._grown.wait()
                    await self._sleep(QUIET_SECONDS)
                else:
                    await self._sleep(REBUILT_CHECK_SECONDS)
        finally:
            unsubscribe()
            self._place, self._is_kept = None, False

    async def _follow(self) -> bool:
        """Catch up, however often it takes; False if this program cannot continue the ledger as it is."""
        while True:
            self._grown.clear()
            try:
                return await self.catch_up()
            except StorageUnavailable:
                log.warning("outcomes and account wait: the database cannot be reached")
            except Exception:
                log.exception("outcomes and account could not be followed; they are tried again")
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

    async def rebuild(self) -> int:
        """Follow the log anew from its oldest entry, by the rules of now; returns the sequence that it starts after.

        Raises:
            StorageUnavailable: the database cannot be reached.
        """
        after = await self._restart()
        self._place = None
        await self.catch_up()
        return after

    # --------------------------------------------------------------------------------------------------- one window

    async def _load(self) -> bool:
        stored = await self._store.load_ledger()
        if stored.place.version != LEDGER_VERSION:
            self._is_kept = False
            self._refuse(stored.place.version)
            return False
        self._refused_version = None
        if stored.account is None:
            await self._restart()
            return await self._load()
        self._warn_if_changed(stored.account)
        self._ledgers.clear()
        for (policy, symbol), entries in stored.entries.items():
            self._ledger_of(policy).restore(symbol, entries)
        self._fold_of_account = self._account_fold(stored.account.account)
        self._place, self._read_through, self._reported = stored.place, stored.place.sequence, stored.reported
        self._is_kept = True
        return True

    def _refuse(self, version: int) -> None:
        if version != self._refused_version:
            log.error(
                "outcomes are of version %d of the rules, and this program has version %d: run `tradingsignals ledger "
                "rebuild`; no outcome is stored until then",
                version,
                LEDGER_VERSION,
            )
        self._refused_version = version

    async def _advance(self, through: int) -> None:
        """Fold the entries up to `through`, and commit what came of them."""
        before = self._place
        if before is None:
            return
        resolved, changed, moved = await self._fold(await self._store.ledger_events(self._read_through, through))
        if not (resolved or changed or moved) and through < self._log_tail.newest:
            self._read_through = through
            return
        # At the end of the log the place is committed even if nothing changed: callers take it for how far lists are.
        entries = dict[tuple[str, str], Sequence[Any]]()
        for policy, symbol in changed:
            entries[policy, symbol] = self._ledger_of(policy).state_of(symbol)
            await asyncio.sleep(0)  # a symbol with many open entries takes some milliseconds
        account, equity = self._fold_of_account.account, self._fold_of_account.take_points()
        reported = [one for one in resolved if one.sequence > self._reported]
        appended = await self._store.commit_ledger(
            LedgerCommit(before, through, resolved, reported, self._clock(), entries, account, equity)
        )
        if appended is None:
            log.warning("the ledger was moved by another process; it is read anew")
            self._place = None
            return
        self._place, self._read_through = LedgerPlace(through, LEDGER_VERSION), through
        self._reported = max(self._reported, through)
        if reported and self._observer is not None:
            self._observer.resolved(reported)
        if appended:
            self._appended(appended)

    async def _fold(self, events: Sequence[PolicyEvent]) -> tuple[list[ResolvedOutcome], set[tuple[str, str]], bool]:
        """Return the outcomes resolved, the entries that changed, and whether the account has."""
        resolved, changed, moved = list[ResolvedOutcome](), set[tuple[str, str]](), False
        for number, each in enumerate(events, 1):
            event = self._valued(each.event)
            if each.policy in {None, LIVE} and not isinstance(event, FollowedSignal):
                moved |= self._fold_of_account.apply(event)
            for policy in self._policies_of(each):
                outcomes = self._ledger_of(policy).apply(event)
                resolved += [ResolvedOutcome(outcome, each.sequence, each.market_time) for outcome in outcomes]
                changed.add((policy, _symbol(event)))
            if number % EVENTS_A_TURN == 0:
                await asyncio.sleep(0)
        return resolved, changed, moved

    def _policies_of(self, each: PolicyEvent) -> Sequence[str]:
        """Return the policies whose ledgers an event may change."""
        event = each.event
        if isinstance(event, TradingControl) or (isinstance(event, Position) and event.is_open and event.bars_held):
            return ()  # it concerns the account alone, as a mark to a new price does
        if each.policy is not None:
            return (each.policy,)
        return [policy for policy, ledger in self._ledgers.items() if ledger.open_entries(_symbol(event))]

    def _ledger_of(self, policy: str) -> Ledger:
        if policy not in self._ledgers:
            self._ledgers[policy] = self._books.make_ledger(policy)
        return self._ledgers[policy]

    # ------------------------------------------------------------------------------------------------------- account

    def _account_fold(self, account: Account) -> AccountFold:
        return AccountFold(account, self._ledger_of(LIVE).calendar_of)

    def _valued(self, event: LedgerEvent) -> LedgerEvent:
        """Value a position by this account: the log may have positions of before a rebuild with another equity."""
        if not isinstance(event, Position):
            return event
        return revalued(event, self._books.account.initial_equity, self._books.currency)

    async def _restart(self) -> int:
        return await self._store.restart_ledger(LEDGER_VERSION, self._books.account, self._books.currency)

    def _warn_if_changed(self, stored: StoredAccount) -> None:
        before = f"{stored.account.initial_equity:g} {stored.currency}"
        now = f"{self._books.account.initial_equity:g} {self._books.currency}"
        if before != now:
            log.warning(
                "the account began with %s, and the settings say %s: it keeps %s until `tradingsignals ledger rebuild`",
                *(before, now, before),
            )


def _symbol(event: LedgerEvent) -> str:
    match event:
        case MarketUpdate():
            return event.bar.symbol
        case TradingControl():
            return ""
        case _:
            return event.symbol
