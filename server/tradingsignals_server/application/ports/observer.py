"""The observer port: what engine and ledger report about their work, for metrics and traces.

Observers are called on the event loop, once for each batch, so they are to be short. Times are of time.perf_counter, in
seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import ContextVar
from typing import Protocol

from ...domain.features import Observation
from ...domain.signals import Signal
from ...domain.values import dataclass
from .feed import BarResult
from .outcomes import ResolvedOutcome

current_trace: ContextVar[str] = ContextVar("current_trace", default="")
"""W3C traceparent of the call that is being served; "" if it is not traced. The commands of a call carry it."""


@dataclass(frozen=True, slots=True)
class MadeDecision:
    """A decision of the live policy.

    observation: its features, as the policy got them; empty if they could not be computed.
    inference_seconds: time of its inference; its share, if it was part of a micro-batch.
    """

    signal: Signal
    observation: Observation
    inference_seconds: float


@dataclass(frozen=True, slots=True)
class HandledCommand:
    """A command that was handled.

    received_at: when it came to the engine, before it waited for room in the queue.
    results: those of its bars; none if it published none.
    trace: see current_trace.
    """

    received_at: float
    results: Sequence[BarResult]
    trace: str


@dataclass(frozen=True, slots=True)
class CommittedBatch:
    """A batch that is durable.

    entries: how many it appended to the log. Without any it needed no commit: it repeated bars, or was refused.
    decisions: those among its signals, in order.
    staged_at, committing_at, committed_at: when deciding began, when the commit began, and when it had returned.
    """

    commands: Sequence[HandledCommand]
    decisions: Sequence[MadeDecision]
    entries: int
    staged_at: float
    committing_at: float
    committed_at: float


class EngineObserver(Protocol):
    """Is notified of what the engine has done."""

    def committed(self, batch: CommittedBatch) -> None:
        """Take a batch that is durable."""

    def commit_failed(self) -> None:
        """Take note that a commit has failed: its commands are refused, or tried again."""


class LedgerObserver(Protocol):
    """Is notified of what the keeper of the ledger has done."""

    def resolved(self, outcomes: Sequence[ResolvedOutcome]) -> None:
        """Take outcomes that have just become durable, each of them once."""
