"""Check of the source that the feed gets its bars from."""

from __future__ import annotations

from ...adapters.feeds.kind import FeedContext
from ...bootstrap.engine import utc_now
from ...config.settings import Settings
from .finding import Finding, ok, problem


async def check_feed(settings: Settings) -> list[Finding]:
    """Try the source of the feed, if it has one that can be tried."""
    if settings.feed.check is None:
        return []
    problems = await settings.feed.check(settings, FeedContext(utc_now, settings.calendar_of))
    remedy = "check the settings of the feed, and the network; docs/feeds.md"
    return [problem("feed", each, remedy) for each in problems] or [ok("feed", f"{settings.feed} has bars")]
