"""Figures of activity: how much of the equity was exposed, and how much was traded."""

from __future__ import annotations

import numpy as np

from .equity import EquityCurve
from .figures import Figure
from .trades import TradeColumns


def activity_figures(
    curve: EquityCurve, columns: TradeColumns, sessions: int, periods_per_year: float
) -> dict[str, Figure]:
    """Return exposure by bar, and turnover.

    Args:
        curve: the equity by bar, with exposure.
        columns: the trades that the account made.
        sessions: number of sessions of the curve.
        periods_per_year: sessions that a year has.
    """
    exposure, bars = np.array(curve.exposure), len(curve.times)
    traded = 2.0 * float(columns.size.sum())
    return {
        "average_exposure_pct": Figure(100.0 * float(exposure.mean()) if bars else None, bars),
        "max_exposure_pct": Figure(100.0 * float(exposure.max()) if bars else None, bars),
        "time_in_market_pct": Figure(100.0 * float((exposure > 0.0).mean()) if bars else None, bars),
        "turnover": Figure(traded * periods_per_year / sessions if sessions else None, sessions),
    }
