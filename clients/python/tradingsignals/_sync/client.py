# Generated from _async/client.py by `make generate`; do not edit.
"""The client: a method for each RPC, and followers."""

from __future__ import annotations

from .access import AccessMethods
from .account import AccountMethods
from .backtests import BacktestMethods
from .event_log import EventLogMethods
from .market_data import MarketDataMethods
from .notifications import NotificationMethods
from .service import ServiceMethods
from .signals import SignalMethods


class Client(
    ServiceMethods,
    SignalMethods,
    AccountMethods,
    MarketDataMethods,
    AccessMethods,
    NotificationMethods,
    EventLogMethods,
    BacktestMethods,
):
    """A connection to a trading signals service, to be used with `with`.

    It connects when it is first used and whenever the connection was lost. Each method raises a TradingSignalsError
    (see `tradingsignals.errors`) when the call fails.

    Methods with an `idempotency_key` do their call once: while the service is unavailable they send it again with the
    same key, until the timeout. The key is a new one unless it is given, which lets another call, later or of another
    process, be the same one: it gets the first response. A key is 1 to 128 visible characters of ASCII without
    commas.
    """
