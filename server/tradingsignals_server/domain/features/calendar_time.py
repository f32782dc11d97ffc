"""Features of the time of day, of the week and of the session."""

from __future__ import annotations

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
