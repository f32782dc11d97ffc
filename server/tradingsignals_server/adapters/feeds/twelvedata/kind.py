"""The declaration of the feed. What it needs to run is imported when it does, because an HTTP client loads slowly."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Protocol

from pydantic import SecretStr

from ..kind import FeedContext, FeedKind

if TYPE_CHECKING:
    from .feed import TwelveDataFeed

_CHECKED_BARS = 10


class TwelveDataSettings(Protocol):
    """The settings that this feed reads."""

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols that it requests bars of."""
        ...

    @property
    def twelvedata_api_key(self) -> SecretStr | None:
        """The key of the account."""
        ...

    @property
    def twelvedata_url(self) -> str:
        """The address of the API."""
        ...


def _feed(settings: TwelveDataSettings, context: FeedContext) -> TwelveDataFeed | None:
    from .api import open_api  # noqa: PLC0415 - see above
    from .feed import TwelveDataFeed  # noqa: PLC0415 - see above

    if settings.twelvedata_api_key is None:
        return None
    return TwelveDataFeed(
        settings.symbols,
        open_api=partial(open_api, settings.twelvedata_url, settings.twelvedata_api_key, context.clock),
        clock=context.clock,
        calendar_of=context.calendar_of,
        report_problem=context.report_problem,
        history_bars=context.history_bars,
    )


async def _check(settings: TwelveDataSettings, context: FeedContext) -> list[str]:
    """Request bars of each symbol, for a credit each, and return what is wrong."""
    from .api import open_api  # noqa: PLC0415 - see above
    from .series import SeriesError  # noqa: PLC0415 - see above

    if settings.twelvedata_api_key is None:
        return []
    problems = []
    async with open_api(settings.twelvedata_url, settings.twelvedata_api_key, context.clock) as api:
        for symbol in settings.symbols:
            now, interval = context.clock(), context.interval_of(symbol)
            try:
                await api.series(symbol, interval, now - _CHECKED_BARS * interval, now)
            except SeriesError as error:
                problems.append(str(error))
                if error.concerns is None:
                    break
    return problems


TWELVEDATA: FeedKind[TwelveDataSettings] = FeedKind(
    name="twelvedata",
    is_live=True,
    is_simulated=False,
    settings=("symbols", "twelvedata_api_key", "twelvedata_url"),
    build=_feed,
    sets_market_time=lambda _settings, _symbol: False,
    problem=lambda settings: (
        "FEED=twelvedata needs TWELVEDATA_API_KEY, the key of your account at Twelve Data"
        if settings.twelvedata_api_key is None
        else None
    ),
    check=_check,
)
