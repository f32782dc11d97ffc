"""The client: a method for each RPC, and followers."""

from __future__ import annotations

from .access import AsyncAccessMethods
from .account import AsyncAccountMethods
from .backtests import AsyncBacktestMethods
from .event_log import AsyncEventLogMethods
from .market_data import AsyncMarketDataMethods
from .notifications import AsyncNotificationMethods
from .service import AsyncServiceMethods
from .signals import AsyncSignalMethods


class AsyncClient(
    AsyncServiceMethods,
    AsyncSignalMethods,
    AsyncAccountMethods,
    AsyncMarketDataMethods,
    AsyncAccessMethods,
    AsyncNotificationMethods,
    AsyncEventLogMethods,
    AsyncBacktestMethods,
):
    """A connection to a trading signals service, to be used with `async with`.

    It connects when it is first used and whenever the connection was lost. Each method raises a TradingSignalsError
    (see `tradingsignals.errors`) when the call fails.

    Methods with an `idempotency_key` do their call once: while the service is unavailable they send it again with the
    same key, until the timeout. The key is a new one unless it is given, which lets another call, later or of another
    process, be the same one: it gets the first response. A key is 1 to 128 visible characters of ASCII without
    commas.
    """
