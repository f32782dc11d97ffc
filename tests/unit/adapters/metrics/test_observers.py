"""What is counted of the reports of engine, ledger and calls."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from uuid import UUID

import numpy as np
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.registry import Collector
from tests.support.builders import OPENING, signal
from tests.support.ledgers import folded, trade
from tests.support.memory_store import MemoryStore

from tradingsignals_server.adapters.metrics.drift import DriftMeter
from tradingsignals_server.adapters.metrics.observers import CallMetrics, EngineMetrics, LedgerMetrics
from tradingsignals_server.application.ports.feed import BarResult
from tradingsignals_server.application.ports.observer import CommittedBatch, HandledCommand, MadeDecision
from tradingsignals_server.application.ports.outcomes import ResolvedOutcome
from tradingsignals_server.domain.drift import RUN, Distribution
from tradingsignals_server.domain.errors import BarConflict
from tradingsignals_server.domain.events import Disposition, Receipt
from tradingsignals_server.domain.outcomes import Fill, Outcome
from tradingsignals_server.domain.signals import Action, Origin

GENERATE = "/tradingsignals.v1.SignalService/GenerateSignal"


Readable = EngineMetrics | LedgerMetrics | CallMetrics


class ReadOnce(Collector):
    """Collects what metrics have counted."""

    def __init__(self, metrics: Readable) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        return self._metrics.read()


def receipt(disposition: Disposition, time: datetime = OPENING) -> Receipt:
    return Receipt("USDCOP", time, disposition, None, 1)


def value(metrics: Readable, name: str, **labels: str) -> float | None:
    """Return the value of a sample as it is served; None if it is not there."""
    registry = CollectorRegistry()
    registry.register(ReadOnce(metrics))
    return registry.get_sample_value(f"tradingsignals_{name}", labels)


def batch(*commands: HandledCommand, decisions: tuple[MadeDecision, ...] = (), entries: int = 1) -> CommittedBatch:
    return CommittedBatch(commands, decisions, entries, 1.0, 2.0, 2.5)


def test_bars_are_counted_by_disposition_and_refusals_by_reason() -> None:
    metrics = EngineMetrics()
    conflict = BarConflict("USDCOP", OPENING)
    results: list[BarResult] = [
        receipt(Disposition.ACCEPTED),
        receipt(Disposition.ACCEPTED),
        receipt(Disposition.LATE),
        conflict,
    ]
    metrics.committed(batch(HandledCommand(0.5, results, "")))
    assert value(metrics, "bars_total", disposition="ACCEPTED") == 2
    assert value(metrics, "bars_total", disposition="LATE") == 1
    assert value(metrics, "bars_total", disposition="REFUSED") == 1
    assert value(metrics, "bars_total", disposition="DUPLICATE") == 0, "it is there before the first"
    assert value(metrics, "bar_refusals_total", reason=conflict.reason) == 1
    assert value(metrics, "bar_to_commit_seconds_sum") == 2.0
    assert value(metrics, "commit_seconds_sum") == 0.5
    assert metrics.last_bar is not None


def test_duplicates_are_no_commit_and_no_new_bar() -> None:
    metrics = EngineMetrics()
    metrics.committed(batch(HandledCommand(0.5, [receipt(Disposition.DUPLICATE)], ""), entries=0))
    assert value(metrics, "bars_total", disposition="DUPLICATE") == 1
    assert value(metrics, "commit_seconds_count") == 0
    assert value(metrics, "handled_commands_total") == 1
    assert metrics.last_bar is None


def test_signals_are_counted_by_action_origin_and_whether_they_are_simulated() -> None:
    metrics = EngineMetrics()
    made = [signal(Action.BUY), replace(signal(Action.BUY), simulated=True), signal(Action.HOLD, origin=Origin.REQUEST)]
    metrics.committed(batch(decisions=tuple(MadeDecision(one, np.zeros(3, np.float32), 1e-4) for one in made)))
    assert value(metrics, "signals_total", action="BUY", origin="BAR", simulated="false") == 1
    assert value(metrics, "signals_total", action="BUY", origin="BAR", simulated="true") == 1
    assert value(metrics, "signals_total", action="HOLD", origin="REQUEST", simulated="false") == 1
    assert value(metrics, "inference_seconds_count") == 3


async def test_outcomes_are_counted_and_calibration_is_that_of_positions() -> None:
    metrics, store = LedgerMetrics(), MemoryStore()
    await trade(store)
    found: list[Outcome] = [replace(one, win_probability=0.6) for one in folded(store).live]
    metrics.resolved([ResolvedOutcome(one, 1, OPENING) for one in found])
    metrics.resolved([ResolvedOutcome(replace(found[0], shadow=True, outcome_id=UUID(int=1)), 2, OPENING)])
    acted = [one for one in found if one.acted and one.fill is Fill.CLOSE]
    assert acted
    assert value(metrics, "win_probability_outcomes_total") == len(acted)
    expected = sum((0.6 - one.won) ** 2 for one in acted)
    assert value(metrics, "win_probability_squared_error_total") == pytest.approx(expected)
    counted = [each for family in metrics.read() for each in family.samples if "_outcomes_total" in each.name]
    assert sum(each.value for each in counted if "resolution" in each.labels) == len(found)


def test_calls_are_counted_by_method_and_errors_by_reason() -> None:
    metrics = CallMetrics([GENERATE, "/tradingsignals.v1.EventService/StreamEvents"], [GENERATE])
    metrics.ended(GENERATE, "OK", "", 0.02)
    metrics.ended(GENERATE, "INVALID_ARGUMENT", "INVALID_FIELD", 0.01)
    metrics.ended(GENERATE, "CANCELLED", "", 0.01)
    metrics.ended("/tradingsignals.v1.EventService/StreamEvents", "UNAVAILABLE", "SHUTTING_DOWN", 60.0)
    of_generate = {"service": "tradingsignals.v1.SignalService", "method": "GenerateSignal"}
    assert value(metrics, "calls_total", code="OK", **of_generate) == 1
    assert value(metrics, "calls_total", code="INVALID_ARGUMENT", **of_generate) == 1
    assert value(metrics, "call_errors_total", reason="INVALID_FIELD") == 1
    assert value(metrics, "call_errors_total", reason="CANCELLED") == 1
    assert value(metrics, "call_errors_total", reason="SHUTTING_DOWN") == 1
    assert value(metrics, "call_seconds_count", **of_generate) == 3
    stream = {"service": "tradingsignals.v1.EventService", "method": "StreamEvents"}
    assert value(metrics, "call_seconds_count", **stream) is None, "how long a stream lasts is up to its caller"


def test_unknown_paths_are_one_method() -> None:
    metrics = CallMetrics([GENERATE], [GENERATE])
    for number in range(100):
        metrics.ended(f"/made/up{number}", "UNIMPLEMENTED", "", 0.0)
    assert value(metrics, "calls_total", service="other", method="other", code="UNIMPLEMENTED") == 100


def test_drift_compares_the_newest_decisions_with_the_first() -> None:
    dice, meter = np.random.default_rng(3), DriftMeter()
    for _ in range(2 * RUN - 1):
        meter.add("v1", dice.normal(size=2).astype(np.float32))
    assert meter.drift(["steady", "moved"]) == {}
    for _ in range(RUN):
        meter.add("v1", dice.normal((0.0, 2.0)).astype(np.float32))
    found = meter.drift(["steady", "moved"])
    assert found["steady"].index < 0.1
    assert found["moved"].index > 1.0
    meter.add("v2", np.zeros(2, np.float32))
    assert meter.drift(["steady", "moved"]) == {}, "another model begins anew"


def test_drift_of_a_model_that_states_its_training_compares_with_that_from_500_decisions_on() -> None:
    dice, meter = np.random.default_rng(3), DriftMeter()
    training = [Distribution.of_training(dice.normal(size=5000)) for _ in range(2)]
    for _ in range(RUN - 1):
        meter.add("v1", dice.normal((0.0, 2.0)).astype(np.float32))
    assert meter.drift(["steady", "moved"], training) == {}
    meter.add("v1", dice.normal((0.0, 2.0)).astype(np.float32))
    found = meter.drift(["steady", "moved"], training)
    assert found["steady"].index < 0.1
    assert found["moved"].index > 1.0
    assert meter.drift(["steady", "moved"]) == {}, "against its first decisions, there are too few"


def test_drift_of_stacked_frames_is_that_of_the_newest_frame() -> None:
    meter = DriftMeter()
    for number in range(2 * RUN):
        meter.add("v1", np.array([number, number, number % 7, number % 3], np.float32))
    assert set(meter.drift(["one", "two"])) == {"one", "two"}
    assert all(one.index < 0.1 for one in meter.drift(["one", "two"]).values())
    assert meter.drift(["one", "two", "three"]) == {}
