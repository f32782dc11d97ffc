"""An outcome store in memory, on the events of a memory store."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import TypeGuard

from tests.support.memory_store import MemoryStore

from tradingsignals_server.application.ports.event_log import LogEntry
from tradingsignals_server.application.ports.outcomes import (
    LIVE,
    LedgerCommit,
    LedgerPlace,
    OutcomePage,
    OutcomeQuery,
    PolicyEvent,
    StoredAccount,
    StoredLedger,
)
from tradingsignals_server.domain.account import Account
from tradingsignals_server.domain.decision_settings import parse_settings
from tradingsignals_server.domain.equity import EquityPoint
from tradingsignals_server.domain.events import Disposition, Event, MarketUpdate, TradingControl
from tradingsignals_server.domain.ledger import LEDGER_VERSION, FollowedSignal
from tradingsignals_server.domain.outcomes import Outcome
from tradingsignals_server.domain.positions import Position, revalued
from tradingsignals_server.domain.signals import Action, Signal


class MemoryOutcomes:
    """Implements application.ports.outcomes.OutcomeStore. `commits` counts the commits, and each sets `committed`."""

    def __init__(self, store: MemoryStore | None = None) -> None:
        self._store = store or MemoryStore()
        self.place = LedgerPlace(0, LEDGER_VERSION)
        self.reported = 0
        self.entries: dict[tuple[str, str], str] = {}
        self.outcomes: list[Outcome] = []
        self.equity: dict[datetime, EquityPoint] = {}
        self.account: tuple[str, str] | None = None
        """The account as JSON, and its currency."""
        self.commits = 0
        self.committed = asyncio.Event()

    async def load_ledger(self) -> StoredLedger:
        """See OutcomeStore."""
        account = await self.load_account()
        entries = {key: json.loads(text) for key, text in self.entries.items()}
        return StoredLedger(self.place, entries, self.reported, account)

    async def load_account(self) -> StoredAccount | None:
        """See OutcomeStore."""
        await self._store.ping()
        if self.account is None:
            return None
        state, currency = self.account
        return StoredAccount(self.place.sequence, Account.of_json(json.loads(state)), currency)

    async def ledger_events(self, after: int, through: int) -> Sequence[PolicyEvent]:
        """See OutcomeStore."""
        await self._store.ping()
        found: list[PolicyEvent] = []
        for event, entry in zip(self._store.events[after:through], self._store.entries[after:through], strict=True):
            at = entry.sequence, entry.market_time
            match event:
                case MarketUpdate():
                    found.append(PolicyEvent(None, event, *at))
                    found += [PolicyEvent(policy, shadow, *at) for policy, shadow in self._shadows(event)]
                case Signal() if event.action is not Action.HOLD:
                    found.append(PolicyEvent(LIVE, self._followed(event), *at))
                case Position() | TradingControl():
                    found.append(PolicyEvent(LIVE, event, *at))
        return found

    def _followed(self, signal: Signal) -> FollowedSignal:
        acted = any(one.signal_id == signal.signal_id for one in self._store.position_changes())
        inputs = self._store.inputs.get(signal.signal_id)
        key = "" if inputs is None else parse_settings(inputs.settings).policy
        return replace(FollowedSignal.of(signal), acted=acted, model_key=key)

    def _shadows(self, update: MarketUpdate) -> list[tuple[str, FollowedSignal]]:
        """Return the decisions of shadow policies on a bar. It is only stored whether the bar was simulated."""
        if update.disposition is Disposition.LATE:
            return []
        return [
            (one.policy, replace(FollowedSignal.of(one.event), simulated=update.bar.simulated))
            for one in sorted(self._store.shadow_events, key=lambda one: one.policy)
            if isinstance(one.event, Signal)
            and one.event.action is not Action.HOLD
            and (one.event.symbol, one.event.bar_time) == (update.bar.symbol, update.bar.time)
        ]

    async def commit_ledger(self, commit: LedgerCommit) -> Sequence[LogEntry] | None:
        """See OutcomeStore."""
        await self._store.ping()
        if self.place != commit.before:
            return None
        new = [one.outcome for one in commit.resolved]
        replaced = {outcome.outcome_id for outcome in new}
        if len(replaced) < len(new):
            raise ValueError("one commit has an outcome twice, which PostgreSQL refuses")
        self.place = LedgerPlace(commit.sequence, commit.before.version)
        self.reported = max(self.reported, commit.sequence)
        self.outcomes = [*(one for one in self.outcomes if one.outcome_id not in replaced), *new]
        self.entries |= {key: json.dumps(state) for key, state in commit.entries.items()}
        self.entries = {key: text for key, text in self.entries.items() if text != "[]"}
        for point in commit.equity:
            known = self.equity.get(point.time)
            day = point.session_day if known is None else known.session_day or point.session_day
            self.equity[point.time] = replace(point, session_day=day)
        self.account = json.dumps(commit.account.to_json()), "" if self.account is None else self.account[1]
        self.commits += 1
        self.committed.set()
        return self._store.append(commit.reported_events, commit.at)

    async def restart_ledger(self, version: int, opening: Account, currency: str) -> int:
        """See OutcomeStore."""
        await self._store.ping()
        oldest, kept = self._store.oldest, self._store.events[self._store.oldest - 1 :]
        first_close = next((e.bar.close_time for e in kept if _is_newest(e)), None)
        self.equity = {t: point for t, point in self.equity.items() if first_close is None or t < first_close}
        for position in sorted(self._store.positions(), key=lambda held: held.sequence):
            if position.sequence < oldest:
                opening = opening.after(revalued(position, opening.initial_equity, currency))
        stored = await self.load_account()
        scale = 1.0 if stored is None else opening.initial_equity / stored.account.initial_equity
        self.equity = {t: _scaled(point, scale) for t, point in self.equity.items()}
        self.outcomes = [replace(one, pnl_account=scale * one.pnl_account) for one in self.outcomes]
        if stored is not None and oldest > 1 and not any(map(_is_control, kept)):
            peak = scale * stored.account.protected_peak
            opening = opening.controlled_as(replace(stored.account, protected_peak=peak))
        peak = max([opening.peak, *(point.equity for point in self.equity.values())])
        self.account = json.dumps(replace(opening, peak=peak).to_json()), currency
        followed = {event.signal_id for event in kept if isinstance(event, Signal)}
        self.outcomes = [one for one in self.outcomes if not one.shadow and one.signal_id not in followed]
        self.place, self.entries = LedgerPlace(oldest - 1, version), {}
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


def _scaled(point: EquityPoint, scale: float) -> EquityPoint:
    names = ("equity", "realised", "unrealised", "drawdown")
    return replace(point, **{name: scale * getattr(point, name) for name in names})


def _is_control(event: Event) -> bool:
    return isinstance(event, TradingControl)


def _is_newest(event: Event) -> TypeGuard[MarketUpdate]:
    return isinstance(event, MarketUpdate) and event.disposition is not Disposition.LATE
