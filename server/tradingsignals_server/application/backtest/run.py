"""One backtest: bars go through the engine, their events into the record, and the record becomes the result."""

from __future__ import annotations

import hashlib
import struct
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from datetime import datetime
from time import process_time

from ...domain.bars import Bar
from ...domain.calendar import SessionCalendar
from ...domain.ledger import EXPIRY_BARS
from ...domain.performance.summary import PerformanceSettings, performance_of
from ...domain.risk import RiskRules
from ...domain.values import dataclass
from ..decision.pipeline import Pipeline
from ..decision.trader import Trader
from ..ingest.states import restore_bars
from ..ports.policy import Policy
from .comparisons import Comparisons
from .engine import CHUNK_BARS, BacktestEngine, ProcessedBar
from .record import BarRecord, SignalRecord, TradeRecord
from .result import BacktestProgress, BacktestResult, ModelFacts, RunFacts

DEFAULT_SEED = 12
"""Seed of the coin that a backtest is compared with."""

OnProgress = Callable[[BacktestProgress], None]
OnBar = Callable[[ProcessedBar], None]


class NothingToTest(Exception):
    """There is no bar to test on. The message is one line."""


@dataclass(frozen=True, slots=True)
class BacktestPlan:
    """What to run.

    policy, rules, calendar_of: as a live engine has them.
    settings: the settings that `rules` were made of, by name, as text: for the result only.
    source: where the bars come from, for people. version: of the service.
    start: bars before it only warm up the engine, as at the start of a server; None decides from the first bar on.
    end: bars from it on are left out; None for none.
    expiry_bars: bars after which an outcome that is open expires.
    compare: also trade the comparisons, which takes about as long again. seed: of the coin.
    """

    policy: Policy
    rules: RiskRules
    calendar_of: Callable[[str], SessionCalendar]
    settings: Mapping[str, str] = field(default_factory=dict)
    source: str = ""
    version: str = ""
    start: datetime | None = None
    end: datetime | None = None
    expiry_bars: int = EXPIRY_BARS
    compare: bool = True
    seed: int = DEFAULT_SEED
    performance: PerformanceSettings = field(default_factory=PerformanceSettings)


class BacktestRun:
    """A run of `plan`. Call `run` once.

    Args:
        plan: what to run.
        on_bar: called after each bar with all that it led to; nothing of it is kept.
    """

    def __init__(self, plan: BacktestPlan, on_bar: OnBar | None = None) -> None:
        self._plan = plan
        self._on_bar = on_bar
        self._pipeline = Pipeline(Trader(plan.policy, plan.rules), plan.calendar_of)
        self._engine = BacktestEngine(self._pipeline)
        self._bars, self._signals = BarRecord(), SignalRecord()
        self._trades = TradeRecord(plan.rules, plan.calendar_of, plan.policy.description.key, plan.expiry_bars)
        self._comparisons = Comparisons(plan.rules, plan.calendar_of, plan.seed) if plan.compare else None
        self._hash = hashlib.sha256()
        self._warming: dict[str, deque[Bar]] = {}
        self._processed = self._warmed = 0
        self._symbols: set[str] = set()
        self._first: datetime | None = None
        self._through: datetime | None = None

    async def run(
        self, chunks: Iterable[Sequence[Bar]], total: int, on_progress: OnProgress | None = None
    ) -> BacktestResult:
        """Process the bars and return the result.

        Args:
            chunks: bars in the order of their times.
            total: number of bars, for the progress.
            on_progress: called after each chunk.

        Raises:
            NothingToTest: no bar is left between start and end.
        """
        started = process_time()
        for chunk in self._to_test(chunks):
            await self._engine.process(chunk, self._take)
            if on_progress is not None and self._through is not None:
                on_progress(self._progress(total))
        return self._result(process_time() - started)

    def _to_test(self, chunks: Iterable[Sequence[Bar]]) -> Iterator[Sequence[Bar]]:
        """Yield the bars to process in chunks, after those before `start` have warmed up the engine."""
        start, end, pending = self._plan.start, self._plan.end, list[Bar]()
        for chunk in chunks:
            for bar in chunk:
                if end is not None and bar.time >= end:
                    continue
                self._hash.update(bar_bytes(bar))
                if start is not None and bar.time < start:
                    self._warm(bar)
                    continue
                pending.append(bar)
                if len(pending) == CHUNK_BARS:
                    yield self._begun(pending)
                    pending = []
        if pending:
            yield self._begun(pending)

    def _warm(self, bar: Bar) -> None:
        self._warmed += 1
        # In a session or not: of a market that is closed most of the time, more bars are needed.
        kept = self._warming.setdefault(bar.symbol, deque(maxlen=8 * restore_bars(self._pipeline, bar.symbol)))
        kept.append(bar)

    def _begun(self, bars: Sequence[Bar]) -> Sequence[Bar]:
        """Warm up the engine before the first bars."""
        if self._first is None:
            self._first = bars[0].time
            for symbol, before in self._warming.items():
                self._engine.warm_up(symbol, before)
            self._warming.clear()
        return bars

    def _take(self, processed: ProcessedBar) -> None:
        self._processed += 1
        self._through = processed.bar.time
        self._symbols.add(processed.bar.symbol)
        self._bars.take(processed)
        step = processed.step
        if step is not None:
            self._trades.take(step.events)
            self._trades.mark(processed.bar)
            if step.signal is not None:
                self._signals.take(step.signal, opened=processed.opened)
            if self._comparisons is not None:
                self._comparisons.take(processed, opened=processed.opened)
        if self._on_bar is not None:
            self._on_bar(processed)

    def _progress(self, total: int) -> BacktestProgress:
        if self._through is None:
            raise ValueError("nothing was processed")
        return BacktestProgress(
            bars=self._warmed + self._processed,
            total_bars=total,
            through=self._through,
            signals=sum(self._signals.actions.values()),
            closed_positions=self._trades.account.closed,
            equity=self._trades.account.equity,
        )

    def _result(self, seconds: float) -> BacktestResult:
        settings, curve = self._plan.performance, self._trades.equity.curve()
        return BacktestResult(
            facts=self._facts(),
            bars=self._bars.counts(),
            refused_bars=tuple(self._bars.refused),
            actions=dict(self._signals.actions),
            signals=tuple(self._signals.traded),
            positions=tuple(self._trades.positions),
            open_positions=tuple(self._trades.account.open_positions.values()),
            outcomes=tuple(self._trades.outcomes),
            left_out=self._trades.left_out,
            equity=curve,
            performance=performance_of(self._trades.trades(), curve, settings),
            rejections=self._signals.rejections(),
            comparisons=() if self._comparisons is None else self._comparisons.results(settings),
            seconds=seconds,
        )

    def _facts(self) -> RunFacts:
        plan, policy = self._plan, self._plan.policy.description
        if self._first is None or self._through is None:
            between = " in the period" if plan.start or plan.end else ""
            raise NothingToTest(f"there is no bar to test on{between}")
        return RunFacts(
            source=plan.source,
            symbols=tuple(sorted(self._symbols)),
            first_bar=self._first,
            last_bar=self._through,
            bars=self._processed,
            warm_up_bars=self._warmed,
            bars_sha256=self._hash.hexdigest(),
            model=ModelFacts(
                name=policy.name,
                version=policy.version,
                type=policy.type,
                key=policy.key,
                sha256=policy.file_sha256,
                training_range=policy.training_range,
            ),
            settings=dict(plan.settings),
            settings_sha256=settings_hash(plan.settings),
            seed=plan.seed,
            version=plan.version,
        )


def settings_hash(settings: Mapping[str, str]) -> str:
    """Return the SHA-256 of settings, in the order of their names."""
    lines = "\n".join(f"{name}={value}" for name, value in sorted(settings.items()))
    return hashlib.sha256(lines.encode()).hexdigest()


def bar_bytes(bar: Bar) -> bytes:
    """Return a bar as the bytes that are hashed."""
    numbers = struct.pack(
        "<6d?", bar.time.timestamp(), bar.open, bar.high, bar.low, bar.close, bar.volume, bar.simulated
    )
    return bar.symbol.encode() + b"\0" + numbers
