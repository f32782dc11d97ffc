"""A calibration of the win probability."""

from __future__ import annotations

from datetime import UTC, datetime

from tradingsignals_server.domain.calibration import LEAST_CASES, SideCalibration, WinBin, WinCalibration

RANGE = (datetime(2023, 7, 4, 13, tzinfo=UTC), datetime(2023, 12, 29, 18, tzinfo=UTC))
CALIBRATION = WinCalibration(
    *RANGE,
    buy=SideCalibration((WinBin(0.4, 0.4, 120), WinBin(0.7, 0.55, 40)), highest=0.95),
    sell=SideCalibration((WinBin(0.4, 0.3, LEAST_CASES - 1), WinBin(0.6, 0.45, LEAST_CASES)), highest=0.95),
)
"""BUY at 0.9 wins 55% of 40 cases, SELL at 0.9 45% of 20; SELL below 0.6 has too few cases."""
