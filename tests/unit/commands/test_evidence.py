"""Checks of recorded observations and statistics accept all features that the service computes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from models.training.history import History
from tests.support.builders import simulated_bars

from tradingsignals_server.commands.evidence import against_observations, against_statistics


@pytest.mark.parametrize("scale", [1.0, 1.0 / 3600.0], ids=["USDCOP", "as EURUSD"])
def test_features_of_a_market_are_accepted(scale: float) -> None:
    bars = simulated_bars(12)
    bars = [
        replace(bar, open=scale * bar.open, high=scale * bar.high, low=scale * bar.low, close=scale * bar.close)
        for bar in bars
    ]
    history = History.of(bars)
    seen = np.concatenate([history.observations[session.first : session.last + 1] for session in history.sessions])
    assert against_observations(seen) is None
    for count in (1, 10, len(seen)):
        assert against_statistics(seen[:count].mean(axis=0, dtype=float), seen[:count].var(axis=0, dtype=float)) is None


def test_initial_statistics_are_refused() -> None:
    """VecNormalize starts with a mean of 0 and a variance of 1."""
    reason = against_statistics(np.zeros(16), np.ones(16))
    assert reason is not None
    assert "a variance of 1 of feature 9, where that of bb_width is at most" in reason
