"""The client for programs without asyncio."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

import grpc

from tradingsignals.v1 import (
    event_service_pb2,
    market_data_service_pb2,
    model_service_pb2,
    position_service_pb2,
    signal_service_pb2,
    system_service_pb2,
)
from tradingsignals.v1.bar_pb2 import Bar, BarReceipt
from tradingsignals.v1.event_pb2 import Event
from tradingsignals.v1.event_service_pb2_grpc import EventServiceStub
from tradingsignals.v1.market_data_service_pb2 import PublishBarsRequest, PublishBarsResponse
from tradingsignals.v1.market_data_service_pb2_grpc import MarketDataServiceStub
from tradingsignals.v1.model_service_pb2 import GetModelInfoResponse, ReloadModelResponse
from tradingsignals.v1.model_service_pb2_grpc import ModelServiceStub
from tradingsignals.v1.position_pb2 import Position
from tradingsignals.v1.position_service_pb2_grpc import PositionServiceStub
from tradingsignals.v1.signal_pb2 import Signal
from tradingsignals.v1.signal_service_pb2_grpc import SignalServiceStub
from tradingsignals.v1.statistics_pb2 import Statistics
from tradingsignals.v1.system_service_pb2 import GetHealthResponse, GetServiceInfoResponse
from tradingsignals.v1.system_service_pb2_grpc import SystemServiceStub

from .errors import detail_of, from_rpc_error
from .follow import Follower, Method
from .pages import Pages, Snapshot
from .requests import (
    BARS_A_MESSAGE,
    CHANNEL_OPTIONS,
    DEFAULT_TIMEOUT_SECONDS,
    OWN_CONNECTION,
    Action,
    Kind,
    When,
    batches,
    entries_of,
    when,
)
from .resume import Following
from .streams import Sequenced, Stream

A = TypeVar("A")
F = TypeVar("F", bound=Sequenced)


class Client:
    """A connection to a trading signals service, to be used as a context manager.

    It connects by itself when it is first used and whenever the connection was lost. Every method raises a
    TradingSignalsError (see `tradingsignals.errors`) when the call fails.
    """

    def __init__(
        self,
        address: str,
        *,
        timeout: float = DEFAULT_TIMEOUT_SECONDS,
        credentials: grpc.ChannelCredentials | None = None,
    ) -> None:
        """`address`: HOST:PORT. `timeout`: seconds a call with one answer may take. `credentials`: for TLS."""
        self._address = address
        self._credentials = credentials
        self._channel = self._new_channel(CHANNEL_OPTIONS)
        self._timeout = timeout
        self._system = SystemServiceStub(self._channel)
        self._signals = SignalServiceStub(self._channel)
        self._positions = PositionServiceStub(self._channel)
        self._market_data = MarketDataServiceStub(self._channel)
        self._model = ModelServiceStub(self._channel)
        self._events = EventServiceStub(self._channel)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all calls and the connection."""
        self._channel.close()

    # ------------------------------------------------------------------------------------------------- service

    def service_info(self) -> GetServiceInfoResponse:
        """What the service is, and how far its event log goes."""
        return self._unary(self._system.GetServiceInfo, system_service_pb2.GetServiceInfoRequest())

    def health(self) -> GetHealthResponse:
        """How the service is, "unhealthy" included; only a service that does not answer raises Unavailable."""
        try:
            return self._system.GetHealth(system_service_pb2.GetHealthRequest(), timeout=self._timeout)
        except grpc.RpcError as error:
            report = detail_of(error, GetHealthResponse)
            if report is None:
                raise from_rpc_error(error) from error
            return report

    def model_info(self) -> GetModelInfoResponse:
        """The policy that decides (`model`) and, if there is one, the policy that is only watched (`shadow`)."""
        return self._unary(self._model.GetModelInfo, model_service_pb2.GetModelInfoRequest())

    def reload_model(self) -> ReloadModelResponse:
        """Look for a newer policy now. Raises FailedPrecondition if there is one that will not serve."""
        return self._unary(self._model.ReloadModel, model_service_pb2.ReloadModelRequest())

    def statistics(self) -> Statistics:
        """Counts over all that is stored."""
        answer = self._unary(self._signals.GetStatistics, signal_service_pb2.GetStatisticsRequest())
        return answer.statistics

    # ------------------------------------------------------------------------------------------------- signals

    def latest_signal(self, symbol: str | None = None) -> Signal:
        """The newest signal, of `symbol` or of any. Raises NotFound if there is none yet."""
        request = signal_service_pb2.GetLatestSignalRequest(symbol=symbol)
        answer = self._unary(self._signals.GetLatestSignal, request)
        return answer.signal

    def signals(
        self,
        *,
        symbol: str | None = None,
        action: Action | None = None,
        start_date: When = None,
        end_date: When = None,
        page_size: int = 100,
    ) -> Pages[Signal]:
        """Signals, the newest first, from `start_date` (inclusive) to `end_date` (exclusive); pages as needed."""

        def fetch(page_token: str) -> signal_service_pb2.ListSignalsResponse:
            request = signal_service_pb2.ListSignalsRequest(
                limit=page_size,
                action=action,
                symbol=symbol,
                start_date=when(start_date),
                end_date=when(end_date),
                page_token=page_token,
            )
            return self._unary(self._signals.ListSignals, request)

        return Pages(fetch, lambda page: page.signals)

    def generate_signal(
        self,
        close_price: float,
        *,
        symbol: str | None = None,
        open_price: float | None = None,
        high_price: float | None = None,
        low_price: float | None = None,
        volume: float | None = None,
        rsi: float | None = None,
        macd: float | None = None,
        macd_signal: float | None = None,
        bb_upper: float | None = None,
        bb_lower: float | None = None,
        ema_20: float | None = None,
        ema_50: float | None = None,
        atr: float | None = None,
    ) -> Signal:
        """Make a signal at a price, acted on like any other; what is not given comes from the stored bars."""
        request = signal_service_pb2.GenerateSignalRequest(
            symbol=symbol,
            close_price=close_price,
            open_price=open_price,
            high_price=high_price,
            low_price=low_price,
            volume=volume,
            rsi=rsi,
            macd=macd,
            macd_signal=macd_signal,
            bb_upper=bb_upper,
            bb_lower=bb_lower,
            ema_20=ema_20,
            ema_50=ema_50,
            atr=atr,
        )
        answer = self._unary(self._signals.GenerateSignal, request)
        return answer.signal

    def generate_signal_from_db(self, symbol: str | None = None, *, lookback_bars: int | None = None) -> Signal:
        """Make a signal from the newest stored bars. Raises FailedPrecondition if they are too few."""
        request = signal_service_pb2.GenerateSignalFromDbRequest(symbol=symbol, lookback_bars=lookback_bars)
        answer = self._unary(self._signals.GenerateSignalFromDb, request)
        return answer.signal

    # ----------------------------------------------------------------------------------------------- positions

    def active_positions(self, symbol: str | None = None) -> Snapshot[Position]:
        """Every open position, the newest first."""
        request = position_service_pb2.ListActivePositionsRequest(symbol=symbol)
        answer = self._unary(self._positions.ListActivePositions, request)
        return Snapshot(answer.positions, answer.through_sequence)

    def closed_positions(self, *, symbol: str | None = None, page_size: int = 50) -> Pages[Position]:
        """Closed positions, the last closed first; pages as needed."""

        def fetch(page_token: str) -> position_service_pb2.ListClosedPositionsResponse:
            request = position_service_pb2.ListClosedPositionsRequest(
                limit=page_size, page_token=page_token, symbol=symbol
            )
            return self._unary(self._positions.ListClosedPositions, request)

        return Pages(fetch, lambda page: page.positions)

    def close_position(self, position_id: str, *, price: float | None = None) -> Position:
        """Close an open position, at `price` or at the last price known. Raises NotFound, FailedPrecondition."""
        request = position_service_pb2.ClosePositionRequest(position_id=position_id, price=price)
        answer = self._unary(self._positions.ClosePosition, request)
        return answer.position

    # ---------------------------------------------------------------------------------------------------- bars

    def publish_bar(self, bar: Bar) -> BarReceipt:
        """Send one closed bar; returns once it is stored. Raises InvalidRequest, AlreadyExists."""
        request = market_data_service_pb2.PublishBarRequest(bar=bar)
        answer = self._unary(self._market_data.PublishBar, request)
        return answer.receipt

    def publish_bars(
        self, bars: Iterable[Bar], *, batch_size: int = BARS_A_MESSAGE, timeout: float | None = None
    ) -> PublishBarsResponse:
        """Send any number of closed bars, in messages of `batch_size`; returns once all of them are stored.

        Sending the same bars again is harmless, so after an error simply do that. Bars that are refused stand in the
        answer by their index. An exception of `bars` itself ends the call; what came before it may have been stored.
        """
        failures: list[Exception] = []

        def requests() -> Iterator[PublishBarsRequest]:
            # gRPC reads this in a thread of its own, where an exception would be logged and lost.
            try:
                yield from batches(bars, batch_size)
            except Exception as failure:
                failures.append(failure)

        try:
            answer = self._market_data.PublishBars(requests(), timeout=timeout)
        except grpc.RpcError as error:
            raise (failures[0] if failures else from_rpc_error(error)) from error
        if failures:
            raise failures[0]
        return answer

    def bars(
        self, symbol: str | None = None, *, start_date: When = None, end_date: When = None, page_size: int = 100
    ) -> Pages[Bar]:
        """Stored bars, the newest first, from `start_date` (inclusive) to `end_date` (exclusive); pages as needed."""

        def fetch(page_token: str) -> market_data_service_pb2.ListBarsResponse:
            request = market_data_service_pb2.ListBarsRequest(
                symbol=symbol,
                limit=page_size,
                start_date=when(start_date),
                end_date=when(end_date),
                page_token=page_token,
            )
            return self._unary(self._market_data.ListBars, request)

        return Pages(fetch, lambda page: page.bars)

    # ------------------------------------------------------------------------------------------------- streams

    def stream_signals(
        self,
        *,
        symbols: Iterable[str] = (),
        actions: Iterable[Action] = (),
        min_confidence: float | None = None,
        resume_after: int | None = None,
        heartbeat_seconds: int | None = None,
    ) -> Stream[Signal]:
        """Signals as they are made; with `resume_after`, first those stored since that sequence."""
        request = signal_service_pb2.StreamSignalsRequest(
            symbols=symbols,
            actions=actions,
            min_confidence=min_confidence,
            resume_after=resume_after,
            heartbeat_seconds=heartbeat_seconds,
        )
        return Stream(self._signals.StreamSignals(request), lambda answer: answer.signals)

    def stream_positions(
        self, *, symbols: Iterable[str] = (), resume_after: int | None = None, heartbeat_seconds: int | None = None
    ) -> Stream[Position]:
        """Positions after each change; with `resume_after`, first the changes stored since that sequence."""
        request = position_service_pb2.StreamPositionsRequest(
            symbols=symbols, resume_after=resume_after, heartbeat_seconds=heartbeat_seconds
        )
        return Stream(self._positions.StreamPositions(request), lambda answer: answer.positions)

    def stream_events(
        self,
        *,
        symbols: Iterable[str] = (),
        kinds: Iterable[Kind] = (),
        min_confidence: float | None = None,
        resume_after: int | None = None,
        heartbeat_seconds: int | None = None,
        start_time: When = None,
        end_time: When = None,
        speed: float | None = None,
    ) -> Stream[Event]:
        """Entries of the event log, of all kinds or of `kinds`; with `resume_after`, first those stored since.

        With `start_time` or `end_time` the history is replayed first, `speed` times faster than the market; with
        `end_time` the iteration ends there.
        """
        request = event_service_pb2.StreamEventsRequest(
            symbols=symbols,
            kinds=kinds,
            min_confidence=min_confidence,
            resume_after=resume_after,
            heartbeat_seconds=heartbeat_seconds,
            start_time=when(start_time),
            end_time=when(end_time),
            speed=speed,
        )
        return Stream(self._events.StreamEvents(request), entries_of)

    # ------------------------------------------------------------------------------------------------- followers

    def follow(
        self,
        *,
        symbols: Iterable[str] = (),
        kinds: Iterable[Kind] = (),
        min_confidence: float | None = None,
        **following: Unpack[Following],
    ) -> Follower[Event]:
        """Entries of the event log, of all kinds or of `kinds`, each exactly once, whatever breaks on the way.

        `following` tells where to begin and what to do when the log changes: see `tradingsignals.Following`.
        """
        request = event_service_pb2.StreamEventsRequest(symbols=symbols, kinds=kinds, min_confidence=min_confidence)
        return self._follower(lambda channel: EventServiceStub(channel).StreamEvents, request, entries_of, following)

    def follow_signals(
        self,
        *,
        symbols: Iterable[str] = (),
        actions: Iterable[Action] = (),
        min_confidence: float | None = None,
        **following: Unpack[Following],
    ) -> Follower[Signal]:
        """Signals, each exactly once, whatever breaks on the way; `following` as in `follow`."""
        request = signal_service_pb2.StreamSignalsRequest(
            symbols=symbols, actions=actions, min_confidence=min_confidence
        )
        return self._follower(
            lambda channel: SignalServiceStub(channel).StreamSignals, request, lambda answer: answer.signals, following
        )

    def follow_positions(self, *, symbols: Iterable[str] = (), **following: Unpack[Following]) -> Follower[Position]:
        """Positions after each change, none missed, whatever breaks on the way; `following` as in `follow`."""
        request = position_service_pb2.StreamPositionsRequest(symbols=symbols)
        return self._follower(
            lambda channel: PositionServiceStub(channel).StreamPositions,
            request,
            lambda answer: answer.positions,
            following,
        )

    def _follower(
        self, method: Method, request: object, items_of: Callable[[Any], Iterable[F]], following: Following
    ) -> Follower[F]:
        return Follower(self._channel, lambda: self._new_channel(OWN_CONNECTION), method, request, items_of, following)

    def _new_channel(self, options: Sequence[tuple[str, int]]) -> grpc.Channel:
        if self._credentials is None:
            return grpc.insecure_channel(self._address, options=options)
        return grpc.secure_channel(self._address, self._credentials, options=options)

    def _unary(self, method: grpc.UnaryUnaryMultiCallable[Any, A], request: object) -> A:
        try:
            return method(request, timeout=self._timeout)
        except grpc.RpcError as error:
            raise from_rpc_error(error) from error
