"""Ledger and account of tests: kept by a keeper on stores, or folded at once from the events in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tests.support.builders import now, walk
from tests.support.engine import running_engine
from tests.support.memory_store import MemoryStore

from tradingsignals_server.adapters.placeholder_policy import PlaceholderPolicy
from tradingsignals_server.application.event_log.tail import LogTail
from tradingsignals_server.application.event_log.tailer import LogReader
from tradingsignals_server.application.ledger.keeper import Books, LedgerKeeper
from tradingsignals_server.application.ports.clock import Sleep
from tradingsignals_server.application.ports.observer import LedgerObserver
from tradingsignals_server.application.ports.outcomes import LIVE, OutcomeStore
from tradingsignals_server.application.ports.store import Store
from tradingsignals_server.domain.account import Account
from tradingsignals_server.domain.calendar import calendar_for
from tradingsignals_server.domain.equity import AccountFold, EquityPoint
from tradingsignals_server.domain.events import MarketUpdate
from tradingsignals_server.domain.ledger import FollowedSignal, Ledger
from tradingsignals_server.domain.outcomes import Outcome
from tradingsignals_server.domain.risk import RiskRules
from tradingsignals_server.domain.signals import Action, Signal

RULES = RiskRules(confidence_threshold=0.5, trailing_stop_atr=1.5)
LIVE_KEY = SHADOW = PlaceholderPolicy().description.key
BARS = [*walk(300, seed=13), *walk(120, seed=5, symbol="EURCOP")]


def books_with(rules: RiskRules) -> Books:
    """Return the books of an account with these rules, as they begin."""

    def new_ledger(policy: str) -> Ledger:
        return Ledger(rules, calendar_for, model_key=policy, shadow=policy != LIVE)

    return Books(new_ledger, Account.opened(rules.initial_equity), rules.account_currency)


BOOKS = books_with(RULES)


def keeper_on(
    log_tail: LogTail,
    store: Store,
    outcomes: OutcomeStore,
    sleep: Sleep = asyncio.sleep,
    observer: LedgerObserver | None = None,
    books: Books = BOOKS,
) -> LedgerKeeper:
    """Return a keeper that follows this tail, and appends to it what it reports."""
    appended = LogReader(store, log_tail).committed
    return LedgerKeeper(outcomes, log_tail, books, now, appended, sleep, observer)


async def follow(store: Store, outcomes: OutcomeStore, *, step: int = 10_000, books: Books = BOOKS) -> None:
    """Follow the log to its end by a new keeper after every `step` entries."""
    newest = (await store.log_head()).newest
    for through in range(step, newest + step, step):
        log_tail = LogTail(store, await store.log_head())
        log_tail.newest = min(through, newest)
        assert await keeper_on(log_tail, store, outcomes, books=books).catch_up()


async def trade(store: Store) -> None:
    """Let a live policy and a shadow trade on BARS."""
    async with running_engine(store, rules=RULES, shadow=PlaceholderPolicy()) as running:
        for first in range(0, len(BARS), 20):
            await running.publish(BARS[first : first + 20])


@dataclass(frozen=True, slots=True)
class Folded:
    """What a log comes to: outcomes of the live policy and of the shadow, account, and equity at each close."""

    live: Sequence[Outcome]
    shadow: Sequence[Outcome]
    account: Account
    equity: Sequence[EquityPoint]


def folded(store: MemoryStore) -> Folded:
    """Fold all events of a store at once."""
    shadowed = {
        # Of a shadow it is only stored whether the bar was simulated.
        (event.symbol, event.bar_time): FollowedSignal.of(replace(event, simulated=False))
        for event in (one.event for one in store.shadow_events)
        if isinstance(event, Signal) and event.action is not Action.HOLD
    }
    live, shadow, fold = BOOKS.make_ledger(LIVE), BOOKS.make_ledger(SHADOW), AccountFold(BOOKS.account, calendar_for)
    found: tuple[list[Outcome], list[Outcome]] = ([], [])
    for event in store.events:
        outcomes = live.apply(event)
        found[0].extend(replace(one, model_key=LIVE_KEY if one.signal_id in store.inputs else "") for one in outcomes)
        fold.apply(event)
        if isinstance(event, MarketUpdate):
            found[1].extend(shadow.apply(event))
            if (decided := shadowed.get((event.bar.symbol, event.bar.time))) is not None:
                found[1].extend(shadow.apply(decided))
    return Folded(*found, fold.account, fold.take_points())


def values_of(account: Account) -> dict[str, object]:
    """Return what an account came to. Of open positions the log has no session and no trailing distance."""
    held = {key: (one.pnl_account, one.position_size) for key, one in account.open_positions.items()}
    return {**account.to_json(), "open_positions": held}
