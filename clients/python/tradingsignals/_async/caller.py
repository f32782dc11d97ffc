"""The connection of a client, and how it calls."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self, TypeVar

import grpc

from tradingsignals.v1.access_service_pb2_grpc import AccessServiceStub
from tradingsignals.v1.account_service_pb2_grpc import AccountServiceStub
from tradingsignals.v1.backtest_service_pb2_grpc import BacktestServiceStub
from tradingsignals.v1.event_service_pb2_grpc import EventServiceStub
from tradingsignals.v1.market_data_service_pb2_grpc import MarketDataServiceStub
from tradingsignals.v1.model_service_pb2_grpc import ModelServiceStub
from tradingsignals.v1.notification_service_pb2_grpc import NotificationServiceStub
from tradingsignals.v1.outcome_service_pb2_grpc import OutcomeServiceStub
from tradingsignals.v1.position_service_pb2_grpc import PositionServiceStub
from tradingsignals.v1.signal_service_pb2_grpc import SignalServiceStub
from tradingsignals.v1.system_service_pb2_grpc import SystemServiceStub

from ..attempts import Attempts
from ..errors import from_rpc_error
from ..keyed import KeySource
from ..requests import CHANNEL_OPTIONS, DEFAULT_TIMEOUT_SECONDS, ChannelOptions
from .calls import Channel, UnaryMethod, close_channel, open_channel, pause

R = TypeVar("R")


class AsyncCaller:
    """A connection to a service, and a stub of each of its services."""

    def __init__(
        self,
        address: str,
        *,
        timeout: float = DEFAULT_TIMEOUT_SECONDS,
        credentials: grpc.ChannelCredentials | None = None,
        api_key: KeySource = None,
    ) -> None:
        """Prepare a client; see `tradingsignals.connect`."""
        self._address = address
        self._credentials = credentials
        self._api_key = api_key
        self._channel = self._new_channel(CHANNEL_OPTIONS)
        self._timeout = timeout
        self._system = SystemServiceStub(self._channel)
        self._signals = SignalServiceStub(self._channel)
        self._outcomes = OutcomeServiceStub(self._channel)
        self._account = AccountServiceStub(self._channel)
        self._positions = PositionServiceStub(self._channel)
        self._market_data = MarketDataServiceStub(self._channel)
        self._model = ModelServiceStub(self._channel)
        self._events = EventServiceStub(self._channel)
        self._backtests = BacktestServiceStub(self._channel)
        self._access = AccessServiceStub(self._channel)
        self._notifications = NotificationServiceStub(self._channel)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End all calls and the connection."""
        await close_channel(self._channel)

    def _new_channel(self, options: ChannelOptions) -> Channel:
        return open_channel(self._address, self._credentials, self._api_key, options)

    async def _unary(self, method: UnaryMethod[Any, R], request: object, seconds: float | None = None) -> R:
        try:
            return await method(request, timeout=seconds or self._timeout)
        except grpc.RpcError as error:
            raise from_rpc_error(error) from error

    async def _once(self, method: UnaryMethod[Any, R], request: object, idempotency_key: str | None) -> R:
        attempts = Attempts(self._timeout, idempotency_key)
        while True:
            try:
                return await method(request, timeout=attempts.seconds_left, metadata=attempts.metadata)
            except grpc.RpcError as error:
                failure = from_rpc_error(error)
                seconds = attempts.pause_after(failure)
                if seconds is None:
                    raise failure from error
            await pause(seconds)
