import datetime

from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from tradingsignals.v1 import statistics_pb2 as _statistics_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetServiceInfoRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetServiceInfoResponse(_message.Message):
    __slots__ = ("service", "version", "description", "feed", "epoch", "through_sequence", "docs", "openapi", "oldest_sequence", "costs", "bar_intervals")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    FEED_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    THROUGH_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    DOCS_FIELD_NUMBER: _ClassVar[int]
    OPENAPI_FIELD_NUMBER: _ClassVar[int]
    OLDEST_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    COSTS_FIELD_NUMBER: _ClassVar[int]
    BAR_INTERVALS_FIELD_NUMBER: _ClassVar[int]
    service: str
    version: str
    description: str
    feed: str
    epoch: str
    through_sequence: int
    docs: str
    openapi: str
    oldest_sequence: int
    costs: _containers.RepeatedCompositeFieldContainer[_statistics_pb2.TradingCosts]
    bar_intervals: _containers.RepeatedCompositeFieldContainer[BarInterval]
    def __init__(self, service: _Optional[str] = ..., version: _Optional[str] = ..., description: _Optional[str] = ..., feed: _Optional[str] = ..., epoch: _Optional[str] = ..., through_sequence: _Optional[int] = ..., docs: _Optional[str] = ..., openapi: _Optional[str] = ..., oldest_sequence: _Optional[int] = ..., costs: _Optional[_Iterable[_Union[_statistics_pb2.TradingCosts, _Mapping]]] = ..., bar_intervals: _Optional[_Iterable[_Union[BarInterval, _Mapping]]] = ...) -> None: ...

class BarInterval(_message.Message):
    __slots__ = ("symbol", "interval")
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_FIELD_NUMBER: _ClassVar[int]
    symbol: str
    interval: str
    def __init__(self, symbol: _Optional[str] = ..., interval: _Optional[str] = ...) -> None: ...

class GetHealthRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetHealthResponse(_message.Message):
    __slots__ = ("status", "timestamp", "service", "version", "model_loaded", "database_connected", "uptime_seconds", "total_signals_generated", "last_signal_timestamp", "warnings", "symbols", "symbol_count", "stale_symbols", "last_commit_time", "trading_halted", "trading_halt_reason")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    MODEL_LOADED_FIELD_NUMBER: _ClassVar[int]
    DATABASE_CONNECTED_FIELD_NUMBER: _ClassVar[int]
    UPTIME_SECONDS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_SIGNALS_GENERATED_FIELD_NUMBER: _ClassVar[int]
    LAST_SIGNAL_TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    SYMBOLS_FIELD_NUMBER: _ClassVar[int]
    SYMBOL_COUNT_FIELD_NUMBER: _ClassVar[int]
    STALE_SYMBOLS_FIELD_NUMBER: _ClassVar[int]
    LAST_COMMIT_TIME_FIELD_NUMBER: _ClassVar[int]
    TRADING_HALTED_FIELD_NUMBER: _ClassVar[int]
    TRADING_HALT_REASON_FIELD_NUMBER: _ClassVar[int]
    status: str
    timestamp: _timestamp_pb2.Timestamp
    service: str
    version: str
    model_loaded: bool
    database_connected: bool
    uptime_seconds: float
    total_signals_generated: int
    last_signal_timestamp: _timestamp_pb2.Timestamp
    warnings: _containers.RepeatedScalarFieldContainer[str]
    symbols: _containers.RepeatedCompositeFieldContainer[SymbolHealth]
    symbol_count: int
    stale_symbols: int
    last_commit_time: _timestamp_pb2.Timestamp
    trading_halted: bool
    trading_halt_reason: str
    def __init__(self, status: _Optional[str] = ..., timestamp: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., service: _Optional[str] = ..., version: _Optional[str] = ..., model_loaded: _Optional[bool] = ..., database_connected: _Optional[bool] = ..., uptime_seconds: _Optional[float] = ..., total_signals_generated: _Optional[int] = ..., last_signal_timestamp: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., warnings: _Optional[_Iterable[str]] = ..., symbols: _Optional[_Iterable[_Union[SymbolHealth, _Mapping]]] = ..., symbol_count: _Optional[int] = ..., stale_symbols: _Optional[int] = ..., last_commit_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., trading_halted: _Optional[bool] = ..., trading_halt_reason: _Optional[str] = ...) -> None: ...

class SymbolHealth(_message.Message):
    __slots__ = ("symbol", "last_bar_time", "missing_bars", "stale", "interval", "undecided")
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    LAST_BAR_TIME_FIELD_NUMBER: _ClassVar[int]
    MISSING_BARS_FIELD_NUMBER: _ClassVar[int]
    STALE_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_FIELD_NUMBER: _ClassVar[int]
    UNDECIDED_FIELD_NUMBER: _ClassVar[int]
    symbol: str
    last_bar_time: _timestamp_pb2.Timestamp
    missing_bars: int
    stale: bool
    interval: str
    undecided: bool
    def __init__(self, symbol: _Optional[str] = ..., last_bar_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., missing_bars: _Optional[int] = ..., stale: _Optional[bool] = ..., interval: _Optional[str] = ..., undecided: _Optional[bool] = ...) -> None: ...
