"""Counts what nothing else keeps: what engine, ledger and calls report while they work."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from time import time

from prometheus_client.core import Metric

from ...application.ports.feed import BarResult
from ...application.ports.observer import CommittedBatch, MadeDecision
from ...application.ports.outcomes import ResolvedOutcome
from ...domain.events import Disposition, Receipt
from ...domain.notifications import Attempt, EndpointKind
from ...domain.outcomes import Fill
from ...domain.signals import Origin
from . import definitions
from .drift import DriftMeter
from .instruments import LoopCounter, LoopHistogram

REFUSED = "REFUSED"
_TRUE_OR_FALSE = {True: "true", False: "false"}


class EngineMetrics:
    """Implements EngineObserver."""

    def __init__(self) -> None:
        self._handled = LoopCounter(definitions.HANDLED_COMMANDS)
        self._bars = LoopCounter(definitions.BARS, [(one,) for one in (*Disposition, REFUSED)])
        self._refusals = LoopCounter(definitions.BAR_REFUSALS)
        self._signals = LoopCounter(definitions.SIGNALS)
        self._inference = LoopHistogram(definitions.INFERENCE_SECONDS)
        self._bar_to_commit = LoopHistogram(definitions.BAR_TO_COMMIT_SECONDS)
        self._commit = LoopHistogram(definitions.COMMIT_SECONDS)
        self._entries = LoopCounter(definitions.COMMIT_ENTRIES)
        self._failures = LoopCounter(definitions.COMMIT_FAILURES)
        self.drift = DriftMeter()
        self.last_bar: float | None = None
        """Seconds since 1970 at which a bar last became durable; None before the first."""

    def read(self) -> Iterator[Metric]:
        """Yield the present values."""
        counters = (self._handled, self._bars, self._refusals, self._signals, self._entries, self._failures)
        yield from (each.read() for each in counters)
        yield from (each.read() for each in (self._inference, self._bar_to_commit, self._commit))

    def committed(self, batch: CommittedBatch) -> None:
        """See EngineObserver."""
        self._handled.add(len(batch.commands))
        for command in batch.commands:
            if command.results:
                self._bar_to_commit.observe(batch.committed_at - command.received_at)
                self._count_bars(command.results)
        for decision in batch.decisions:
            self._count_decision(decision)
        if batch.entries:
            self._commit.observe(batch.committed_at - batch.committing_at)
            self._entries.add(batch.entries)

    def commit_failed(self) -> None:
        """See EngineObserver."""
        self._failures.add()

    def _count_bars(self, results: Sequence[BarResult]) -> None:
        count, is_stored = self._bars.add, False
        for result in results:
            if isinstance(result, Receipt):
                count(1, result.disposition)
                is_stored = is_stored or result.disposition is not Disposition.DUPLICATE
            else:
                count(1, REFUSED)
                self._refusals.add(1, result.reason)
        if is_stored:
            self.last_bar = time()

    def _count_decision(self, decision: MadeDecision) -> None:
        signal = decision.signal
        self._signals.add(1, signal.action, signal.origin, _TRUE_OR_FALSE[signal.simulated])
        self._inference.observe(decision.inference_seconds)
        if signal.origin is Origin.BAR and len(decision.observation):
            self.drift.add(signal.model_version, decision.observation)


class LedgerMetrics:
    """Implements LedgerObserver."""

    def __init__(self) -> None:
        self._outcomes = LoopCounter(definitions.OUTCOMES)
        self._squared_error = LoopCounter(definitions.BRIER_SUM)
        self._calibrated = LoopCounter(definitions.BRIER_COUNT)

    def read(self) -> Iterator[Metric]:
        """Yield the present values."""
        yield from (each.read() for each in (self._outcomes, self._squared_error, self._calibrated))

    def resolved(self, outcomes: Sequence[ResolvedOutcome]) -> None:
        """See LedgerObserver."""
        for outcome in (one.outcome for one in outcomes):
            if outcome.shadow:
                continue
            self._outcomes.add(1, outcome.resolution, outcome.fill, _TRUE_OR_FALSE[outcome.won])
            # Each signal has an outcome for each fill; that of the position itself counts.
            if outcome.win_probability is not None and outcome.acted and outcome.fill is Fill.CLOSE:
                self._squared_error.add((outcome.win_probability - outcome.won) ** 2)
                self._calibrated.add()


class NotificationMetrics:
    """Implements NotificationObserver."""

    def __init__(self) -> None:
        results = ("delivered", "failed")
        self._attempts = LoopCounter(
            definitions.NOTIFICATION_ATTEMPTS, [(kind, result) for kind in EndpointKind for result in results]
        )
        self._age = LoopHistogram(definitions.NOTIFICATION_AGE)

    def read(self) -> Iterator[Metric]:
        """Yield the present values."""
        yield self._attempts.read()
        yield self._age.read()

    def attempted(self, kind: EndpointKind, attempt: Attempt, age_seconds: float) -> None:
        """See NotificationObserver."""
        self._attempts.add(1, kind, "failed" if attempt.error else "delivered")
        if not attempt.error:
            self._age.observe(age_seconds, kind)


class CallMetrics:
    """Counts the calls of both servers at their ends. Paths that are none of `paths` count as one method.

    `unary` are those of one request and one response, whose durations are compared.
    """

    def __init__(self, paths: Collection[str], unary: Collection[str]) -> None:
        self._calls = LoopCounter(definitions.CALLS)
        self._seconds = LoopHistogram(definitions.CALL_SECONDS)
        self._errors = LoopCounter(definitions.CALL_ERRORS)
        self._names = {path: (path.split("/")[1], path.split("/")[2]) for path in paths}
        self._unary = frozenset(unary)

    def read(self) -> Iterator[Metric]:
        """Yield the present values."""
        yield from (each.read() for each in (self._calls, self._seconds, self._errors))

    def ended(self, path: str, code: str, reason: str, seconds: float) -> None:
        """Count a call of the method at `path` that has ended with a code, "OK" or an error and its reason."""
        service, method = self._names.get(path, ("other", "other"))
        self._calls.add(1, service, method, code)
        if path in self._unary:
            self._seconds.observe(seconds, service, method)
        if code != "OK":
            self._errors.add(1, reason or code)
