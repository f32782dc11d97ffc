"""The feeds that there are. A new one is a module that declares its FeedKind, and its place here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from .kind import FeedKind
from .replay import REPLAY, ReplaySettings
from .simulate import SIMULATE, SimulateSettings
from .twelvedata.kind import TWELVEDATA, TwelveDataSettings


class FeedSettings(SimulateSettings, ReplaySettings, TwelveDataSettings, Protocol):
    """The settings that feeds read."""


AnyFeed = FeedKind[FeedSettings]

PUSH: FeedKind[object] = FeedKind(
    name="push",
    is_live=True,
    is_simulated=False,
    settings=(),
    build=lambda _settings, _context: None,
    sets_market_time=lambda _settings, _symbol: False,
)
"""Bars come by PublishBars alone."""

FEEDS: Mapping[str, AnyFeed] = {kind.name: kind for kind in (SIMULATE, REPLAY, PUSH, TWELVEDATA)}
"""The kinds of feeds by name."""
