"""Client of the trading signals service, async and sync.

    async with tradingsignals.connect("127.0.0.1:8003") as client:
        async with client.follow_signals() as signals:
            async for signal in signals:
                print(signal.symbol, Signal.Action.Name(signal.action), signal.confidence)

    with tradingsignals.connect_sync("127.0.0.1:8003") as client:
        print(client.latest_signal("USDCOP"))

Methods take and return the messages of the contract, `tradingsignals.v1`; its resources can be imported from here too.
"""

from __future__ import annotations

import grpc

from tradingsignals.v1.access_pb2 import ApiKey, AuditEntry
from tradingsignals.v1.account_pb2 import Account, EquityPoint, Trading
from tradingsignals.v1.bar_pb2 import Bar, BarReceipt, BarRejection
from tradingsignals.v1.event_pb2 import Event, MarketUpdate
from tradingsignals.v1.explanation_pb2 import Explanation, Replay
from tradingsignals.v1.model_pb2 import Model, Shadow
from tradingsignals.v1.notification_pb2 import NotificationDelivery, NotificationEndpoint, NotificationFilter
from tradingsignals.v1.outcome_pb2 import Outcome
from tradingsignals.v1.performance_pb2 import Performance
from tradingsignals.v1.position_pb2 import Position
from tradingsignals.v1.signal_pb2 import Signal, TechnicalFactors
from tradingsignals.v1.statistics_pb2 import Statistics
from tradingsignals.v1.symbol_pb2 import SymbolSummary

from ._async.backtests import AsyncBacktest
from ._async.client import AsyncClient
from ._async.follower import AsyncFollower
from ._async.pages import AsyncPages
from ._async.streams import AsyncStream
from ._sync.backtests import Backtest
from ._sync.client import Client
from ._sync.follower import Follower
from ._sync.pages import Pages
from ._sync.streams import Stream
from .errors import (
    AccessDenied,
    AlreadyExists,
    DeadlineExceeded,
    EpochChanged,
    EventsPruned,
    FailedPrecondition,
    FieldViolation,
    InternalError,
    InvalidRequest,
    NotFound,
    OutOfRange,
    Overloaded,
    TemporaryError,
    TooLarge,
    TradingSignalsError,
    Unavailable,
)
from .keyed import KeySource
from .requests import DEFAULT_TIMEOUT_SECONDS
from .resume import Backoff, Connected, Disconnected, Following, Notice, Skipped, StartedOver
from .snapshot import Snapshot

__all__ = [
    "AccessDenied",
    "Account",
    "AlreadyExists",
    "ApiKey",
    "AsyncBacktest",
    "AsyncClient",
    "AsyncFollower",
    "AsyncPages",
    "AsyncStream",
    "AuditEntry",
    "Backoff",
    "Backtest",
    "Bar",
    "BarReceipt",
    "BarRejection",
    "Client",
    "Connected",
    "DeadlineExceeded",
    "Disconnected",
    "EpochChanged",
    "EquityPoint",
    "Event",
    "EventsPruned",
    "Explanation",
    "FailedPrecondition",
    "FieldViolation",
    "Follower",
    "Following",
    "InternalError",
    "InvalidRequest",
    "MarketUpdate",
    "Model",
    "NotFound",
    "Notice",
    "NotificationDelivery",
    "NotificationEndpoint",
    "NotificationFilter",
    "OutOfRange",
    "Outcome",
    "Overloaded",
    "Pages",
    "Performance",
    "Position",
    "Replay",
    "Shadow",
    "Signal",
    "Skipped",
    "Snapshot",
    "StartedOver",
    "Statistics",
    "Stream",
    "SymbolSummary",
    "TechnicalFactors",
    "TemporaryError",
    "TooLarge",
    "Trading",
    "TradingSignalsError",
    "Unavailable",
    "connect",
    "connect_sync",
]


def connect(
    address: str,
    *,
    timeout: float = DEFAULT_TIMEOUT_SECONDS,
    credentials: grpc.ChannelCredentials | None = None,
    api_key: KeySource = None,
) -> AsyncClient:
    """Return a client for asyncio, to be used with `async with` in a running event loop.

    Args:
        address: HOST:PORT.
        timeout: seconds that a call with one response may take. Streams have no deadline.
        credentials: for TLS, such as `grpc.ssl_channel_credentials()`; with a client's key and certificate for mTLS;
            None for no encryption.
        api_key: an API key or a token, sent with each call, or a function that returns it, for tokens that are renewed.
    """
    return AsyncClient(address, timeout=timeout, credentials=credentials, api_key=api_key)


def connect_sync(
    address: str,
    *,
    timeout: float = DEFAULT_TIMEOUT_SECONDS,
    credentials: grpc.ChannelCredentials | None = None,
    api_key: KeySource = None,
) -> Client:
    """Return a client for programs without asyncio, to be used with `with`; the arguments are those of `connect`."""
    return Client(address, timeout=timeout, credentials=credentials, api_key=api_key)
