"""Health report of the service, with its warnings."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from heapq import nsmallest

from ..domain.calendar import SessionCalendar
from ..domain.errors import ServiceError
from ..domain.intervals import DEFAULT_INTERVAL, interval_name
from ..domain.protections import HALTED_BY_SETTING, halted_by_hand
from ..domain.wording import counted
from .decision.pipeline import Pipeline
from .decision.symbol_state import SymbolState
from .ingest.engine import Engine
from .ports.clock import Clock
from .ports.store import SignalTotals, Store

STALE_INTERVALS = 2
"""A symbol is stale if its session is open and no bar has closed within this number of intervals."""

PROBE_INTERVAL_S = 1.0
"""Pause between two probes of the database."""

PROBE_TIMEOUT_S = 2.0
"""Time without a response after which a pending probe counts as failed."""

FAILURE_COUNTS_FOR = timedelta(seconds=60)
"""Time for which a failed commit makes the service unhealthy, unless another one succeeds.

After that it is only a warning: a load balancer that sends no calls to an unhealthy server would otherwise never let it
try again.
"""

MAXIMUM_SYMBOLS = 50
"""Maximum number of symbols in a report."""


class Status(StrEnum):
    """healthy; degraded: works, with warnings; unhealthy: cannot store, and therefore makes no signals."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"


@dataclass(frozen=True, slots=True)
class SymbolHealth:
    """State of the bars of a symbol. `undecided` is true if the policy is for bars of another interval."""

    symbol: str
    last_bar_time: datetime | None
    missing_bars: int
    stale: bool
    interval: timedelta = DEFAULT_INTERVAL
    undecided: bool = False


@dataclass(frozen=True, slots=True)
class Health:
    """Health of the service at `timestamp`. Totals are those of the last response of the database.

    symbols: at most MAXIMUM_SYMBOLS of the `symbol_count` symbols of this server, those with a problem first, then
    those with the oldest newest bar. of_concern: all that are stale or lack bars. last_commit: time of the last commit
    of this server, None before the first. halted: how trading is halted, None if it is not.
    """

    status: Status
    timestamp: datetime
    model_loaded: bool
    database_connected: bool
    uptime_seconds: float
    totals: SignalTotals
    warnings: tuple[str, ...]
    symbols: tuple[SymbolHealth, ...]
    symbol_count: int
    of_concern: tuple[SymbolHealth, ...]
    last_commit: datetime | None
    halted: str | None = None

    @property
    def stale_symbols(self) -> int:
        """Number of symbols that are stale."""
        return sum(symbol.stale for symbol in self.of_concern)


class HealthReporter:
    """Makes reports from the results of `run`, which is a task of its own, so a report never waits for the database.

    `live_feed` is true if bar times follow the wall clock. `notices` are warnings that hold as long as it runs.
    """

    def __init__(
        self,
        store: Store,
        engine: Engine,
        pipeline: Pipeline,
        clock: Clock,
        *,
        live_feed: bool,
        notices: Sequence[str] = (),
    ) -> None:
        self._store = store
        self._engine = engine
        self._pipeline = pipeline
        self._clock = clock
        self._live_feed = live_feed
        self._notices = notices
        self._feed_problems: dict[str, str] = {}
        self._started = clock()
        self._totals = SignalTotals(0, None)
        self._of_store: Sequence[str] = ()
        self._lost_at: datetime | None = None
        self._probed_at: float | None = None

    async def run(self) -> None:
        """Probe the database until cancelled."""
        while True:
            await self.probe()
            await asyncio.sleep(PROBE_INTERVAL_S)

    async def probe(self) -> None:
        """Check whether the database responds, without a timeout."""
        self._probed_at = asyncio.get_running_loop().time()
        try:
            self._totals = await self._store.signal_totals()
            self._of_store = await self._store.warnings()
            self._lost_at = None
        except ServiceError:
            self._lost_at = self._clock()
        finally:
            self._probed_at = None

    def report_feed_problem(self, subject: str, problem: str | None) -> None:
        """Warn of what keeps the bars of a subject from coming, until it is called with None. See ReportProblem."""
        if problem is None:
            self._feed_problems.pop(subject, None)
        else:
            self._feed_problems[subject] = problem

    def report(self) -> Health:
        """Return the present health of the service."""
        now = self._clock()
        states = self._engine.states()
        in_session: dict[SessionCalendar, bool] = {}
        found = [self._symbol_health(state, now, in_session) for state in states]
        shown = tuple(nsmallest(MAXIMUM_SYMBOLS, found, key=_worst_first))
        commits = self._engine.commits
        # A commit after the failed probe proves that the database is reachable.
        is_back = self._lost_at is None or (commits.succeeded_at is not None and commits.succeeded_at > self._lost_at)
        connected = is_back and not self._is_silent()
        failing = commits.failed_at is not None and now - commits.failed_at <= FAILURE_COUNTS_FOR
        halted = self._halted()
        halts = () if halted is None else (f"Trading is {halted}: no position is opened",)
        of_database = (*self._database_warnings(connected), *self._of_store)
        lasting = (*halts, *self._notices, *self._feed_problems.values())
        warnings = (*of_database, *lasting, *self._warnings(found, shown))
        unhealthy = failing or not connected
        return Health(
            status=Status.UNHEALTHY if unhealthy else Status.DEGRADED if warnings else Status.HEALTHY,
            timestamp=now,
            model_loaded=not self._pipeline.live.policy.description.simulated,
            database_connected=connected,
            uptime_seconds=(now - self._started).total_seconds(),
            totals=self._totals,
            warnings=warnings,
            symbols=shown,
            symbol_count=len(found),
            of_concern=tuple(symbol for symbol in found if symbol.stale or symbol.missing_bars),
            last_commit=commits.succeeded_at,
            halted=halted,
        )

    def _halted(self) -> str | None:
        if self._pipeline.live.rules.protections.trading_halted:
            return HALTED_BY_SETTING
        account = self._engine.account
        return halted_by_hand(account.halt_reason) if account.halted else None

    def _is_silent(self) -> bool:
        return self._probed_at is not None and asyncio.get_running_loop().time() - self._probed_at > PROBE_TIMEOUT_S

    def _symbol_health(
        self, state: SymbolState, now: datetime, in_session: dict[SessionCalendar, bool]
    ) -> SymbolHealth:
        last, calendar = state.last_bar, state.calendar
        overdue = last is None or now - last.close_time > STALE_INTERVALS * calendar.interval
        if self._live_feed and overdue and calendar not in in_session:
            was_open = calendar.session_of(now - STALE_INTERVALS * calendar.interval) is not None
            in_session[calendar] = was_open and calendar.session_of(now) is not None
        return SymbolHealth(
            symbol=state.symbol,
            last_bar_time=None if last is None else last.time,
            missing_bars=state.missing_bars,
            stale=self._live_feed and overdue and in_session[calendar],
            interval=calendar.interval,
            undecided=not self._pipeline.live.is_for(calendar.interval),
        )

    def _database_warnings(self, connected: bool) -> list[str]:
        found = []
        if not connected:
            found.append("The database cannot be reached: nothing can be stored")
        failed_at = self._engine.commits.failed_at
        if failed_at is not None:
            found.append(f"The newest commit, at {failed_at:%Y-%m-%dT%H:%M:%SZ}, failed: its bars were not stored")
        return found

    def _warnings(self, symbols: Sequence[SymbolHealth], shown: Sequence[SymbolHealth]) -> list[str]:
        found = []
        if self._pipeline.live.policy.description.simulated:
            found.append("No model is loaded: predictions are placeholders and every signal is marked simulated")
        for symbol in shown:
            if symbol.stale:
                found.append(f"{symbol.symbol}: the session is open and no bar has come for two intervals")
            if symbol.undecided:
                found.append(self._undecided(symbol))
            if symbol.missing_bars:
                session = "of the newest session"
                missing = counted(symbol.missing_bars, f"bar {session} is missing", f"bars {session} are missing")
                found.append(f"{symbol.symbol}: {missing}")
        further = sum(_has_problem(symbol) for symbol in symbols) - sum(_has_problem(symbol) for symbol in shown)
        if further:
            one = "further symbol is stale, lacks bars or has bars"
            others = counted(further, one, "further symbols are stale, lack bars or have bars")
            found.append(f"{others} that the model is not for")
        return found

    def _undecided(self, symbol: SymbolHealth) -> str:
        of_model = self._pipeline.live.policy.description.interval or symbol.interval
        return (
            f"{symbol.symbol}: its bars are of {interval_name(symbol.interval)} and the model is for "
            f"{interval_name(of_model)}: no decision is made"
        )


def _has_problem(symbol: SymbolHealth) -> bool:
    return symbol.stale or symbol.undecided or symbol.missing_bars > 0


def _worst_first(symbol: SymbolHealth) -> tuple[bool, bool, bool, float, str]:
    newest = 0.0 if symbol.last_bar_time is None else symbol.last_bar_time.timestamp()
    return not symbol.stale, not symbol.undecided, not symbol.missing_bars, newest, symbol.symbol
