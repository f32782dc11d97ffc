"""Histories to train on."""

from __future__ import annotations

from datetime import timedelta
from operator import attrgetter

from models.training.history import History
from tests.support.builders import simulated_bars

from tradingsignals_server.domain.bars import Bar


def simulated_market() -> History:
    """Return two weeks of a simulated market with the gaps of a real feed.

    Some bars are missing, including the last bars of two sessions, and some lie outside every session.
    """
    bars = simulated_bars(12, skipped=frozenset({70, 71, 119, 200, 239, 240, 333}))
    evening = timedelta(hours=5, minutes=30)
    outside = [
        Bar("USDCOP", first + evening, price, price + 2.0, price - 2.0, price + 1.0, simulated=True)
        for first, price in ((bars[60].time, 3990.0), (bars[180].time, 4010.0))
    ]
    return History.of(sorted([*bars, *outside], key=attrgetter("time")))
