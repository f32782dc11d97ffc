"""Percentiles of latencies."""

from __future__ import annotations

import numpy as np

from tradingsignals_server.domain.performance.definitions import LATENCIES
from tradingsignals_server.domain.performance.figures import Figure
from tradingsignals_server.domain.performance.latencies import latency_figures


def test_percentiles_are_interpolated_and_count_their_signals() -> None:
    found = latency_figures({"inference_ms": np.arange(101.0), "close_to_commit_ms": np.array([10.0, 20.0])})
    assert found == {
        "inference_ms_p50": Figure(50.0, 101),
        "inference_ms_p95": Figure(95.0, 101),
        "inference_ms_p99": Figure(99.0, 101),
        "close_to_commit_ms_p50": Figure(15.0, 2),
        "close_to_commit_ms_p95": Figure(19.5, 2),
        "close_to_commit_ms_p99": Figure(19.9, 2),
    }
    assert found.keys() == LATENCIES.keys()


def test_without_signals_latencies_are_undefined() -> None:
    assert latency_figures({"inference_ms": np.array([])})["inference_ms_p99"] == Figure(None, 0)
