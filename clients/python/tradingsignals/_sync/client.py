# Generated from _async/client.py by `make generate`; do not edit.
"""The client: one method for each RPC, and followers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

import grpc

from tradingsignals.v1 import (
    access_service_pb2,
    account_service_pb2,
    backtest_service_pb2,
    event_service_pb2,
    market_data_service_pb2,
    model_service_pb2,
    outcome_service_pb2,
    position_service_pb2,
    signal_service_pb2,
    system_service_pb2,
)
from tradingsignals.v1.access_pb2 import ApiKey, AuditEntry
from tradingsignals.v1.access_service_pb2 import CreateKeyResponse
from tradingsignals.v1.access_service_pb2_grpc import AccessServiceStub
from tradingsignals.v1.account_pb2 import EquityPoint, Trading
from tradingsignals.v1.account_service_pb2 import GetAccountResponse
from tradingsignals.v1.account_service_pb2_grpc import AccountServiceStub
from tradingsignals.v1.backtest_service_pb2_grpc import BacktestServiceStub
from tradingsignals.v1.bar_pb2 import Bar, BarReceipt
from tradingsignals.v1.event_pb2 import Event
from tradingsignals.v1.event_service_pb2_grpc import EventServiceStub
from tradingsignals.v1.explanation_pb2 import Explanation, Replay
from tradingsignals.v1.market_data_service_pb2 import PublishBarsResponse
from tradingsignals.v1.market_data_service_pb2_grpc import MarketDataServiceStub
from tradingsignals.v1.model_service_pb2 import GetModelInfoResponse, ReloadModelResponse
from tradingsignals.v1.model_service_pb2_grpc import ModelServiceStub
from tradingsignals.v1.outcome_pb2 import Outcome
from tradingsignals.v1.outcome_service_pb2_grpc import OutcomeServiceStub
from tradingsignals.v1.position_pb2 import Position
from tradingsignals.v1.position_service_pb2_grpc import PositionServiceStub
from tradingsignals.v1.signal_pb2 import Signal
from tradingsignals.v1.signal_service_pb2 import GetPerformanceResponse
from tradingsignals.v1.signal_service_pb2_grpc import SignalServiceStub
from tradingsignals.v1.statistics_pb2 import Statistics
from tradingsignals.v1.system_service_pb2 import GetHealthResponse, GetServiceInfoResponse
from tradingsignals.v1.system_service_pb2_grpc import SystemServiceStub

from ..attempts import Attempts
from ..errors import detail_of, from_rpc_error
from ..keyed import KeySource
from ..requests import (
    BARS_A_MESSAGE,
    CHANNEL_OPTIONS,
    DEFAULT_TIMEOUT_SECONDS,
    OWN_CONNECTION,
    PERFORMANCE_TIMEOUT_SECONDS,
    Action,
    Basis,
    ChannelOptions,
    Dimension,
    EquityResolution,
    Fill,
    Kind,
    Origin,
    Resolution,
    Role,
    When,
    entries_of,
    when,
)
from ..resume import Following, Sequenced
from ..snapshot import Snapshot
from .backtests import Backtest
from .calls import Bars, Channel, UnaryMethod, close_channel, open_channel, pause, send_bars
from .follower import Follower, StreamingMethod
from .pages import Pages
from .streams import Stream

R = TypeVar("R")
T = TypeVar("T", bound=Sequenced)


class Client:
    """A connection to a trading signals service, to be used with `with`.

    It connects when it is first used and whenever the connection was lost. Each method raises a TradingSignalsError
    (see `tradingsignals.errors`) when the call fails.

    Methods with an `idempotency_key` do their call once: while the service is unavailable they send it again with the
    same key, until the timeout. The key is a new one unless it is given, which lets another call, later or of another
    process, be the same one: it gets the first response. A key is 1 to 128 visible characters of ASCII without
    commas.
    """

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

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all calls and the connection."""
        close_channel(self._channel)

    # ------------------------------------------------------------------------------------------------- service

    def service_info(self) -> GetServiceInfoResponse:
        """Return the version and settings of the service, and the newest sequence of its event log."""
        return self._unary(self._system.GetServiceInfo, system_service_pb2.GetServiceInfoRequest())

    def health(self) -> GetHealthResponse:
        """Return the health of the service, "unhealthy" included. Raises Unavailable if there is no response."""
        try:
            return self._system.GetHealth(system_service_pb2.GetHealthRequest(), timeout=self._timeout)
        except grpc.RpcError as error:
            report = detail_of(error, GetHealthResponse)
            if report is None:
                raise from_rpc_error(error) from error
            return report

    def model_info(self) -> GetModelInfoResponse:
        """Return the policy that decides (`model`) and, if any, the one that is only recorded (`shadow`)."""
        return self._unary(self._model.GetModelInfo, model_service_pb2.GetModelInfoRequest())

    def reload_model(self) -> ReloadModelResponse:
        """Load a newer policy now, if there is one. Raises FailedPrecondition if it is not usable."""
        return self._unary(self._model.ReloadModel, model_service_pb2.ReloadModelRequest())

    def statistics(self) -> Statistics:
        """Return counts over all stored signals and positions."""
        response = self._unary(self._signals.GetStatistics, signal_service_pb2.GetStatisticsRequest())
        return response.statistics

    def get_performance(
        self,
        *,
        by: Iterable[Dimension] = (),
        basis: Basis | None = None,
        fill: Fill | None = None,
        shadow: bool | None = None,
        symbol: str | None = None,
        action: Action | None = None,
        origin: Origin | None = None,
        model_version: str | None = None,
        model_key: str | None = None,
        start_date: When = None,
        end_date: When = None,
    ) -> GetPerformanceResponse:
        """Return the statistics of outcomes with exits from `start_date` to before `end_date`, and of the equity.

        It takes some seconds, and has a deadline of 15 seconds at least.
        """
        request = signal_service_pb2.GetPerformanceRequest(
            basis=basis,
            fill=fill,
            shadow=shadow,
            symbol=symbol,
            action=action,
            origin=origin,
            model_version=model_version,
            model_key=model_key,
            start_date=when(start_date),
            end_date=when(end_date),
            by=by,
        )
        seconds = max(self._timeout, PERFORMANCE_TIMEOUT_SECONDS)
        return self._unary(self._signals.GetPerformance, request, seconds)

    # ------------------------------------------------------------------------------------------------- signals

    def explain_signal(self, signal_id: str) -> Explanation:
        """Return why a signal was given. Raises NotFound if there is none with this id."""
        request = signal_service_pb2.ExplainSignalRequest(signal_id=signal_id)
        return (self._unary(self._signals.ExplainSignal, request)).explanation

    def replay_signal(self, signal_id: str) -> Replay:
        """Make a stored signal again from its stored inputs, and return whether it is equal, or what differs and why.

        Raises NotFound if there is no signal with this id, FailedPrecondition if its inputs are not stored.
        """
        request = signal_service_pb2.ReplaySignalRequest(signal_id=signal_id)
        return (self._unary(self._signals.ReplaySignal, request)).replay

    def latest_signal(self, symbol: str | None = None) -> Signal:
        """Return the newest signal, of `symbol` or of any. Raises NotFound if there is none yet."""
        request = signal_service_pb2.GetLatestSignalRequest(symbol=symbol)
        response = self._unary(self._signals.GetLatestSignal, request)
        return response.signal

    def signals(
        self,
        *,
        symbol: str | None = None,
        action: Action | None = None,
        start_date: When = None,
        end_date: When = None,
        page_size: int = 100,
    ) -> Pages[Signal]:
        """List signals, the newest first, from `start_date` (inclusive) to `end_date` (exclusive)."""

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

    def list_outcomes(
        self,
        *,
        symbol: str | None = None,
        action: Action | None = None,
        resolution: Resolution | None = None,
        fill: Fill | None = None,
        model_version: str | None = None,
        shadow: bool | None = None,
        start_date: When = None,
        end_date: When = None,
        page_size: int = 100,
    ) -> Pages[Outcome]:
        """List outcomes of signals, the last resolved first, with exits from `start_date` to before `end_date`."""

        def fetch(page_token: str) -> outcome_service_pb2.ListOutcomesResponse:
            request = outcome_service_pb2.ListOutcomesRequest(
                limit=page_size,
                page_token=page_token,
                symbol=symbol,
                action=action,
                resolution=resolution,
                fill=fill,
                model_version=model_version,
                shadow=shadow,
                start_date=when(start_date),
                end_date=when(end_date),
            )
            return self._unary(self._outcomes.ListOutcomes, request)

        return Pages(fetch, lambda page: page.outcomes)

    # -------------------------------------------------------------------------------------------------- access

    def create_key(
        self, name: str, role: Role, *, expires_at: datetime | None = None, networks: Sequence[str] = ()
    ) -> CreateKeyResponse:
        """Make an API key. Its `text` is in this response alone. Needs the role admin, as do the three below."""
        request = access_service_pb2.CreateKeyRequest(name=name, role=role, expires_at=expires_at, networks=networks)
        return self._unary(self._access.CreateKey, request)

    def list_keys(self) -> list[ApiKey]:
        """Return all API keys, the newest first, revoked and expired ones included."""
        response = self._unary(self._access.ListKeys, access_service_pb2.ListKeysRequest())
        return list(response.keys)

    def revoke_key(self, key_id: str) -> ApiKey:
        """Revoke an API key. Raises NotFound if there is none with this id."""
        response = self._unary(self._access.RevokeKey, access_service_pb2.RevokeKeyRequest(key_id=key_id))
        return response.key

    def list_audit_entries(
        self,
        *,
        caller_id: str | None = None,
        method: str | None = None,
        refused: bool | None = None,
        start_date: When = None,
        end_date: When = None,
        page_size: int = 100,
    ) -> Pages[AuditEntry]:
        """List what callers did or were refused, the newest first, from `start_date` to before `end_date`."""

        def fetch(page_token: str) -> access_service_pb2.ListAuditEntriesResponse:
            request = access_service_pb2.ListAuditEntriesRequest(
                limit=page_size,
                page_token=page_token,
                caller_id=caller_id,
                method=method,
                refused=refused,
                start_date=when(start_date),
                end_date=when(end_date),
            )
            return self._unary(self._access.ListAuditEntries, request)

        return Pages(fetch, lambda page: page.entries)

    # ------------------------------------------------------------------------------------------------- account

    def get_account(self) -> GetAccountResponse:
        """Return the account as it is now, and the sequence of the log up to which it is."""
        return self._unary(self._account.GetAccount, account_service_pb2.GetAccountRequest())

    def halt_trading(self, reason: str = "", *, by: str = "", idempotency_key: str | None = None) -> Trading:
        """Halt trading on all servers until it is resumed: signals are made, and none opens a position."""
        request = account_service_pb2.HaltTradingRequest(reason=reason, by=by)
        response = self._once(self._account.HaltTrading, request, idempotency_key)
        return response.trading

    def resume_trading(self, reason: str = "", *, by: str = "", idempotency_key: str | None = None) -> Trading:
        """Resume trading that was halted by hand. Raises FailedPrecondition if a setting of the server halts it."""
        request = account_service_pb2.ResumeTradingRequest(reason=reason, by=by)
        response = self._once(self._account.ResumeTrading, request, idempotency_key)
        return response.trading

    def list_equity(
        self,
        *,
        resolution: EquityResolution | None = None,
        start_date: When = None,
        end_date: When = None,
        page_size: int = 100,
    ) -> Pages[EquityPoint]:
        """List the equity by bar or by day, the newest first, from `start_date` to before `end_date`."""

        def fetch(page_token: str) -> account_service_pb2.ListEquityResponse:
            request = account_service_pb2.ListEquityRequest(
                limit=page_size,
                page_token=page_token,
                resolution=resolution,
                start_date=when(start_date),
                end_date=when(end_date),
            )
            return self._unary(self._account.ListEquity, request)

        return Pages(fetch, lambda page: page.points)

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
        idempotency_key: str | None = None,
    ) -> Signal:
        """Make a signal at a price, acted on like any other; what is left out comes from the stored bars."""
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
        response = self._once(self._signals.GenerateSignal, request, idempotency_key)
        return response.signal

    def generate_signal_from_db(
        self, symbol: str | None = None, *, lookback_bars: int | None = None, idempotency_key: str | None = None
    ) -> Signal:
        """Make a signal from the newest stored bars. Raises FailedPrecondition if they are too few."""
        request = signal_service_pb2.GenerateSignalFromDbRequest(symbol=symbol, lookback_bars=lookback_bars)
        response = self._once(self._signals.GenerateSignalFromDb, request, idempotency_key)
        return response.signal

    # ----------------------------------------------------------------------------------------------- positions

    def active_positions(self, symbol: str | None = None) -> Snapshot[Position]:
        """Return all open positions, the newest first."""
        request = position_service_pb2.ListActivePositionsRequest(symbol=symbol)
        response = self._unary(self._positions.ListActivePositions, request)
        return Snapshot(response.positions, response.through_sequence)

    def closed_positions(self, *, symbol: str | None = None, page_size: int = 50) -> Pages[Position]:
        """List closed positions, the last closed first; pages are fetched as needed."""

        def fetch(page_token: str) -> position_service_pb2.ListClosedPositionsResponse:
            request = position_service_pb2.ListClosedPositionsRequest(
                limit=page_size, page_token=page_token, symbol=symbol
            )
            return self._unary(self._positions.ListClosedPositions, request)

        return Pages(fetch, lambda page: page.positions)

    def close_position(
        self, position_id: str, *, price: float | None = None, idempotency_key: str | None = None
    ) -> Position:
        """Close an open position, at `price` or at the last known price. Raises NotFound, FailedPrecondition."""
        request = position_service_pb2.ClosePositionRequest(position_id=position_id, price=price)
        response = self._once(self._positions.ClosePosition, request, idempotency_key)
        return response.position

    # ---------------------------------------------------------------------------------------------------- bars

    def publish_bar(self, bar: Bar) -> BarReceipt:
        """Send one closed bar; returns once it is stored. Raises InvalidRequest, AlreadyExists."""
        request = market_data_service_pb2.PublishBarRequest(bar=bar)
        response = self._unary(self._market_data.PublishBar, request)
        return response.receipt

    def publish_bars(
        self,
        bars: Bars,
        *,
        batch_size: int = BARS_A_MESSAGE,
        timeout: float | None = None,
    ) -> PublishBarsResponse:
        """Send any number of closed bars, in messages of `batch_size`; returns once all of them are stored.

        `bars` is any iterable, with asyncio an one too. Sending the same bars again is harmless, so do that after
        an error. Bars that are refused stand in the response by their index. An exception of `bars` itself ends the
        call; bars before it may have been stored. For bars that come minutes apart use `publish_bar`: here a message
        is sent when it is full.

        Args:
            bars: each valid by itself, of any symbols.
            batch_size: bars in one message.
            timeout: seconds for the whole call; None for no deadline.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size is 1 or more, not {batch_size}")
        return send_bars(self._market_data.PublishBars, bars, batch_size, timeout)

    def bars(
        self, symbol: str | None = None, *, start_date: When = None, end_date: When = None, page_size: int = 100
    ) -> Pages[Bar]:
        """List stored bars, the newest first, from `start_date` (inclusive) to `end_date` (exclusive)."""

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
        """Stream signals as they are made; with `resume_after`, first those stored since that sequence."""
        request = signal_service_pb2.StreamSignalsRequest(
            symbols=symbols,
            actions=actions,
            min_confidence=min_confidence,
            resume_after=resume_after,
            heartbeat_seconds=heartbeat_seconds,
        )
        return Stream(self._signals.StreamSignals(request), lambda response: response.signals)

    def stream_positions(
        self, *, symbols: Iterable[str] = (), resume_after: int | None = None, heartbeat_seconds: int | None = None
    ) -> Stream[Position]:
        """Stream positions after each change; with `resume_after`, first the changes stored since that sequence."""
        request = position_service_pb2.StreamPositionsRequest(
            symbols=symbols, resume_after=resume_after, heartbeat_seconds=heartbeat_seconds
        )
        return Stream(self._positions.StreamPositions(request), lambda response: response.positions)

    def run_backtest(
        self,
        *,
        symbols: Iterable[str] = (),
        start_date: When = None,
        end_date: When = None,
        bars: Iterable[Bar] = (),
        model_version: str = "",
        settings: Iterable[str] = (),
        compare: bool = False,
        seed: int | None = None,
    ) -> Backtest:
        """Run a backtest of stored bars, or of `bars`, with settings such as "CONFIDENCE_THRESHOLD=0.7" changed."""
        request = backtest_service_pb2.RunBacktestRequest(
            symbols=symbols,
            start_date=when(start_date),
            end_date=when(end_date),
            bars=bars,
            model_version=model_version,
            settings=settings,
            compare=compare,
            seed=seed,
        )
        return Backtest(self._backtests.RunBacktest(request))

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
        """Stream entries of the event log, of all kinds or of `kinds`; with `resume_after`, first those stored since.

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
        """Follow entries of the event log, of all kinds or of `kinds`, each exactly once through all failures.

        `following` says where to begin and what to do when the log changes: see `tradingsignals.Following`.
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
        """Follow signals, each exactly once through all failures; `following` as in `follow`."""
        request = signal_service_pb2.StreamSignalsRequest(
            symbols=symbols, actions=actions, min_confidence=min_confidence
        )
        return self._follower(
            lambda channel: SignalServiceStub(channel).StreamSignals,
            request,
            lambda response: response.signals,
            following,
        )

    def follow_positions(self, *, symbols: Iterable[str] = (), **following: Unpack[Following]) -> Follower[Position]:
        """Follow positions after each change, none missed through all failures; `following` as in `follow`."""
        request = position_service_pb2.StreamPositionsRequest(symbols=symbols)
        return self._follower(
            lambda channel: PositionServiceStub(channel).StreamPositions,
            request,
            lambda response: response.positions,
            following,
        )

    def _follower(
        self, method: StreamingMethod, request: object, items_of: Callable[[Any], Iterable[T]], following: Following
    ) -> Follower[T]:
        return Follower(self._channel, lambda: self._new_channel(OWN_CONNECTION), method, request, items_of, following)

    def _new_channel(self, options: ChannelOptions) -> Channel:
        return open_channel(self._address, self._credentials, self._api_key, options)

    def _unary(self, method: UnaryMethod[Any, R], request: object, seconds: float | None = None) -> R:
        try:
            return method(request, timeout=seconds or self._timeout)
        except grpc.RpcError as error:
            raise from_rpc_error(error) from error

    def _once(self, method: UnaryMethod[Any, R], request: object, idempotency_key: str | None) -> R:
        attempts = Attempts(self._timeout, idempotency_key)
        while True:
            try:
                return method(request, timeout=attempts.seconds_left, metadata=attempts.metadata)
            except grpc.RpcError as error:
                failure = from_rpc_error(error)
                seconds = attempts.pause_after(failure)
                if seconds is None:
                    raise failure from error
            pause(seconds)
