"""FEED=push: bars come by PublishBars alone."""

from __future__ import annotations

from .kind import FeedKind

PUSH: FeedKind[object] = FeedKind(
    name="push",
    is_live=True,
    is_simulated=False,
    settings=(),
    build=lambda _settings, _context: None,
    sets_market_time=lambda _settings, _symbol: False,
)
