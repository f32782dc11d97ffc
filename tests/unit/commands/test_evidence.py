"""Checks of recorded observations and statistics accept all features that the service computes, and find others."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from models.training.history import History
from tests.support.builders import simulated_bars

from tradingsignals_server.commands.evidence import against_observations, against_statistics
from tradingsignals_server.domain.features import M5_V1, CatalogueFeatures, RawBars
from tradingsignals_server.domain.features.expression import parse

STACKED = CatalogueFeatures("m5-v1", M5_V1.features, names=M5_V1.names, stack=3)
UNBOUNDED = CatalogueFeatures("own", [parse("macd(12,26,9)"), parse("rsi(14)")], limit=None)
BARS = RawBars(2)


@pytest.fixture(scope="module")
def seen() -> Any:
    """Return observations of m5-v1, shape (n, 16)."""
    history = History.of(simulated_bars(12))
    return np.concatenate([history.observations[session.first : session.last + 1] for session in history.sessions])


@pytest.mark.parametrize("scale", [1.0, 1.0 / 3600.0], ids=["USDCOP", "as EURUSD"])
def test_features_of_a_market_are_accepted(scale: float) -> None:
    bars = simulated_bars(12)
    bars = [
        replace(bar, open=scale * bar.open, high=scale * bar.high, low=scale * bar.low, close=scale * bar.close)
        for bar in bars
    ]
    history = History.of(bars)
    seen = np.concatenate([history.observations[session.first : session.last + 1] for session in history.sessions])
    assert against_observations(M5_V1, seen) is None
    for count in (1, 10, len(seen)):
        mean, variance = seen[:count].mean(axis=0, dtype=float), seen[:count].var(axis=0, dtype=float)
        assert against_statistics(M5_V1, mean, variance) is None


def test_initial_statistics_are_refused() -> None:
    """VecNormalize starts with a mean of 0 and a variance of 1."""
    reason = against_statistics(M5_V1, np.zeros(16), np.ones(16))
    assert reason is not None
    assert "a variance of 1 of feature 9, where that of bb_width is at most" in reason


def test_frames_are_checked_one_by_one(seen: Any) -> None:
    rows = np.concatenate([seen[:-2], seen[1:-1], seen[2:]], axis=1)
    rows[0, :32] = 0.0
    assert against_observations(STACKED, rows) is None
    assert against_observations(STACKED, seen) is None, "one frame of the environment behind the frames"
    assert against_statistics(STACKED, rows.mean(axis=0), rows.var(axis=0)) is None
    assert against_statistics(STACKED, seen.mean(axis=0), seen.var(axis=0)) is None
    rows[5, 16 + 4] = 71.0
    assert against_observations(STACKED, rows) == "71 as feature 4, where rsi lies within -1 and 1 in m5-v1"


def test_newest_frame_first_is_found(seen: Any) -> None:
    rows = np.concatenate([seen[2:], seen[1:-1], seen[:-2]], axis=1)
    assert against_observations(STACKED, rows) == (
        "the newest frame first, where frames are stacked with the oldest first"
    )


def test_features_without_bounds_must_be_finite() -> None:
    assert against_observations(UNBOUNDED, np.array([[1e6, 0.5]])) is None
    assert against_observations(UNBOUNDED, np.array([[np.inf, 0.5]])) == (
        "inf as feature 0, where macd(12,26,9) is a finite number"
    )
    assert against_statistics(UNBOUNDED, np.array([3e5, 0.1]), np.array([1e9, 0.2])) is None


@pytest.mark.parametrize(
    ("bar", "expected"),
    [
        ([100.0, 101.0, 99.0, 100.5, 7.0], None),
        ([100.0, 99.5, 99.0, 99.2, 7.0], "a open above the high of the same bar"),
        ([-1.0, 101.0, 99.0, 100.5, 7.0], "-1 as feature 0, where open is at least 0 and finite"),
    ],
    ids=["a bar", "closes as highs", "returns"],
)
def test_bars_have_prices_in_order(bar: list[float], expected: str | None) -> None:
    rows = np.array([[100.0, 101.0, 99.0, 100.5, 7.0, *bar]])
    assert against_observations(BARS, rows) == expected
    reason = against_statistics(BARS, rows[0], np.ones(10))
    assert (reason is None) == (expected is None)
