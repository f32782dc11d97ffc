"""Features of the time of day, of the week and of the session."""

from __future__ import annotations

import math
from datetime import datetime

from .context import FeatureContext
from .kind import FeatureGroup

TIME = FeatureGroup("Time and session")


@TIME.add(
    "session_progress",
    "Fraction of the session before the bar",
    "bars of the session before this one / bars of a session",
    "0 to 1",
    warm=lambda: 1,
    bounds=(0.0, 1.0),
)
def _session_progress(context: FeatureContext) -> float:
    return context.session_progress


@TIME.add(
    "bars_since_session_start",
    "Bars of the session before this one, by the calendar",
    "index of the bar in its session",
    "bars",
    warm=lambda: 1,
    bounds=(0.0, math.inf),
    raw=True,
)
def _bars_since_session_start(context: FeatureContext) -> float | None:
    return context.session_bars


@TIME.add(
    "bars_to_session_end",
    "Bars of the session after this one, by the calendar",
    "bars of a session - 1 - index of the bar",
    "bars",
    warm=lambda: 1,
    bounds=(0.0, math.inf),
    raw=True,
)
def _bars_to_session_end(context: FeatureContext) -> float | None:
    return context.session_bars_left


@TIME.add(
    "hour_sin",
    "Time of day of the open, in UTC, on a circle",
    "sin(2 pi minutes of the day / 1440)",
    "-1 to 1",
    warm=lambda: 1,
    bounds=(-1.0, 1.0),
)
def _hour_sin(context: FeatureContext) -> float | None:
    return None if context.time is None else math.sin(_day_angle(context.time))


@TIME.add(
    "hour_cos",
    "Time of day of the open, in UTC, on a circle",
    "cos(2 pi minutes of the day / 1440)",
    "-1 to 1",
    warm=lambda: 1,
    bounds=(-1.0, 1.0),
)
def _hour_cos(context: FeatureContext) -> float | None:
    return None if context.time is None else math.cos(_day_angle(context.time))


@TIME.add(
    "weekday_sin",
    "Day of the week, in UTC, on a circle",
    "sin(2 pi d / 7), where d is 0 on Monday",
    "-1 to 1",
    warm=lambda: 1,
    bounds=(-1.0, 1.0),
)
def _weekday_sin(context: FeatureContext) -> float | None:
    return None if context.time is None else math.sin(2.0 * math.pi * context.time.weekday() / 7.0)


@TIME.add(
    "weekday_cos",
    "Day of the week, in UTC, on a circle",
    "cos(2 pi d / 7), where d is 0 on Monday",
    "-1 to 1",
    warm=lambda: 1,
    bounds=(-1.0, 1.0),
)
def _weekday_cos(context: FeatureContext) -> float | None:
    return None if context.time is None else math.cos(2.0 * math.pi * context.time.weekday() / 7.0)


def _day_angle(time: datetime) -> float:
    return 2.0 * math.pi * (time.hour * 60 + time.minute) / 1440.0
