"""How the service is: what it tells, and what it warns of."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from ..domain.bars import BAR_INTERVAL
from ..domain.errors import StorageUnavailable
from .decision.pipeline import Pipeline
from .decision.sessions import SymbolState
from .engine.engine import Engine
from .ports import Clock, SignalTotals, Store

STALE_INTERVALS = 2
"""A symbol is stale when its session is open and no bar has ended within this many intervals."""


class Status(StrEnum):
    """healthy; degraded: works, but see the warnings; unhealthy: cannot store, so makes no signals."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"


@dataclass(frozen=True, slots=True)
class SymbolHealth:
    """How the bars of one symbol are coming in."""

    symbol: str
    last_bar_time: datetime | None
    missing_bars: int
    stale: bool


@dataclass(frozen=True, slots=True)
class Health:
    """The service at `timestamp`. Totals are those of the last time the database answered."""

    status: Status
    timestamp: datetime
    model_loaded: bool
    database_connected: bool
    uptime_seconds: float
    totals: SignalTotals
    warnings: tuple[str, ...]
    symbols: tuple[SymbolHealth, ...]


class HealthReporter:
    """Looks at the database, the policy and the bars. `live_feed` tells whether bar times follow the wall clock."""

    def __init__(self, store: Store, engine: Engine, pipeline: Pipeline, clock: Clock, *, live_feed: bool) -> None:
        self._store = store
        self._engine = engine
        self._pipeline = pipeline
        self._clock = clock
        self._live_feed = live_feed
        self._started = clock()
        self._totals = SignalTotals(0, None)

    async def report(self) -> Health:
        """Find out now."""
        connected = True
        try:
            self._totals = await self._store.signal_totals()
        except StorageUnavailable:
            connected = False
        now = self._clock()
        symbols = tuple(self._symbol_health(state, now) for state in self._engine.states())
        warnings = tuple(self._warnings(symbols, connected=connected))
        status = Status.UNHEALTHY if not connected else Status.DEGRADED if warnings else Status.HEALTHY
        return Health(
            status=status,
            timestamp=now,
            model_loaded=not self._pipeline.live.policy.description.simulated,
            database_connected=connected,
            uptime_seconds=(now - self._started).total_seconds(),
            totals=self._totals,
            warnings=warnings,
            symbols=symbols,
        )

    def _symbol_health(self, state: SymbolState, now: datetime) -> SymbolHealth:
        last = state.last_bar
        overdue = last is None or now - last.close_time > STALE_INTERVALS * BAR_INTERVAL
        in_session = state.calendar.session_of(now - STALE_INTERVALS * BAR_INTERVAL) is not None
        return SymbolHealth(
            symbol=state.symbol,
            last_bar_time=None if last is None else last.time,
            missing_bars=state.missing_bars,
            stale=self._live_feed and overdue and in_session and state.calendar.session_of(now) is not None,
        )

    def _warnings(self, symbols: tuple[SymbolHealth, ...], *, connected: bool) -> list[str]:
        found = []
        if not connected:
            found.append("The database cannot be reached: nothing can be stored")
        if self._pipeline.live.policy.description.simulated:
            found.append("No model is loaded: predictions are placeholders and every signal is marked simulated")
        for symbol in symbols:
            if symbol.stale:
                found.append(f"{symbol.symbol}: the session is open and no bar has come for two intervals")
            if symbol.missing_bars:
                found.append(f"{symbol.symbol}: {symbol.missing_bars} bars of the newest session are missing")
        return found
