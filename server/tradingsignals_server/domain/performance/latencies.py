"""Latencies: how long the signals of a service took."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from .definitions import PERCENTILES
from .figures import Figure
from .trades import FloatArray


def latency_figures(latencies: Mapping[str, FloatArray]) -> dict[str, Figure]:
    """Return the percentiles of latencies in milliseconds, of shape (signals,), by the name of each: see LATENCIES."""
    return {
        f"{name}_p{percent}": Figure(float(np.percentile(values, percent)) if len(values) else None, len(values))
        for name, values in latencies.items()
        for percent in PERCENTILES
    }
