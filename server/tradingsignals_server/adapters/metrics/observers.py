"""Counts what nothing else keeps: what engine, ledger and calls report while they work."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from time import time

from prometheus_client import CollectorRegistry, Counter, Histogram

from ...application.ports.observer import CommittedBatch, MadeDecision
from ...application.ports.outcomes import ResolvedOutcome
from ...domain.events import Disposition, Receipt
from ...domain.outcomes import Fill
from ...domain.signals import Origin
from . import definitions
from .drift import DriftMeter
from .instruments import counter, histogram

REFUSED = "REFUSED"
_TRUE_OR_FALSE = {True: "true", False: "false"}


class EngineMetrics:
    """Implements EngineObserver."""

    def __init__(self, registry: CollectorRegistry) -> None:
        bars = counter(definitions.BARS, registry)
        self._bars: Mapping[str, Counter] = {one: bars.labels(one) for one in (*Disposition, REFUSED)}
        self._refusals = counter(definitions.BAR_REFUSALS, registry)
        self._signals = counter(definitions.SIGNALS, registry)
        self._inference = histogram(definitions.INFERENCE_SECONDS, registry)
        self._bar_to_commit = histogram(definitions.BAR_TO_COMMIT_SECONDS, registry)
        self._commit = histogram(definitions.COMMIT_SECONDS, registry)
        self._entries = counter(definitions.COMMIT_ENTRIES, registry)
        self._failures = counter(definitions.COMMIT_FAILURES, registry)
        self._counted: dict[tuple[str, str, bool], Counter] = {}
        self.drift = DriftMeter()
        self.last_bar: float | None = None
        """Seconds since 1970 at which a bar last became durable; None before the first."""

    def committed(self, batch: CommittedBatch) -> None:
        """See EngineObserver."""
        for command in batch.commands:
            if command.results:
                self._bar_to_commit.observe(batch.committed_at - command.received_at)
                self._count_bars(command.results)
        for decision in batch.decisions:
            self._count_decision(decision)
        if batch.entries:
            self._commit.observe(batch.committed_at - batch.committing_at)
            self._entries.inc(batch.entries)

    def commit_failed(self) -> None:
        """See EngineObserver."""
        self._failures.inc()

    def _count_bars(self, results: Sequence[Receipt | Exception]) -> None:
        counts: dict[str, int] = {}
        for result in results:
            if isinstance(result, Receipt):
                counts[result.disposition] = counts.get(result.disposition, 0) + 1
            else:
                counts[REFUSED] = counts.get(REFUSED, 0) + 1
                self._refusals.labels(getattr(result, "reason", "")).inc()
        for disposition, count in counts.items():
            self._bars[disposition].inc(count)
        if counts.keys() - {REFUSED, Disposition.DUPLICATE}:
            self.last_bar = time()

    def _count_decision(self, decision: MadeDecision) -> None:
        signal = decision.signal
        key = signal.action, signal.origin, signal.simulated
        counted = self._counted.get(key)
        if counted is None:
            labels = signal.action, signal.origin, _TRUE_OR_FALSE[signal.simulated]
            counted = self._counted[key] = self._signals.labels(*labels)
        counted.inc()
        self._inference.observe(decision.inference_seconds)
        if signal.origin is Origin.BAR and len(decision.observation):
            self.drift.add(signal.model_version, decision.observation)


class LedgerMetrics:
    """Implements LedgerObserver."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._outcomes = counter(definitions.OUTCOMES, registry)
        self._squared_error = counter(definitions.BRIER_SUM, registry)
        self._calibrated = counter(definitions.BRIER_COUNT, registry)

    def resolved(self, outcomes: Sequence[ResolvedOutcome]) -> None:
        """See LedgerObserver."""
        for outcome in (one.outcome for one in outcomes):
            if outcome.shadow:
                continue
            self._outcomes.labels(outcome.resolution, outcome.fill, _TRUE_OR_FALSE[outcome.won]).inc()
            # Each signal has an outcome for each fill; that of the position itself counts.
            if outcome.win_probability is not None and outcome.acted and outcome.fill is Fill.CLOSE:
                self._squared_error.inc((outcome.win_probability - outcome.won) ** 2)
                self._calibrated.inc()


class CallMetrics:
    """Counts the calls of both servers at their ends. Paths that are none of `paths` count as one method.

    `unary` are those of one request and one response, whose durations are compared.
    """

    def __init__(self, registry: CollectorRegistry, paths: Collection[str], unary: Collection[str]) -> None:
        self._calls = counter(definitions.CALLS, registry)
        self._seconds = histogram(definitions.CALL_SECONDS, registry)
        self._errors = counter(definitions.CALL_ERRORS, registry)
        self._paths, self._unary = frozenset(paths), frozenset(unary)
        self._counted: dict[tuple[str, str], tuple[Counter, Histogram | None, Counter | None]] = {}

    def ended(self, path: str, code: str, reason: str, seconds: float) -> None:
        """Count a call of the method at `path` that has ended with a code, "OK" or an error and its reason."""
        if path not in self._paths:
            path = "/other/other"
        ended = code if code == "OK" else reason or code
        counted = self._counted.get((path, ended))
        if counted is None:
            counted = self._counted[path, ended] = self._counters_of(path, code, ended)
        calls, duration, errors = counted
        calls.inc()
        if duration is not None:
            duration.observe(seconds)
        if errors is not None:
            errors.inc()

    def _counters_of(self, path: str, code: str, ended: str) -> tuple[Counter, Histogram | None, Counter | None]:
        _, service, method = path.split("/")
        return (
            self._calls.labels(service, method, code),
            self._seconds.labels(service, method) if path in self._unary else None,
            None if code == "OK" else self._errors.labels(ended),
        )
