from google.api import annotations_pb2 as _annotations_pb2
from tradingsignals.v1 import event_pb2 as _event_pb2
from tradingsignals.v1 import explanation_pb2 as _explanation_pb2
from tradingsignals.v1 import outcome_pb2 as _outcome_pb2
from tradingsignals.v1 import performance_pb2 as _performance_pb2
from tradingsignals.v1 import signal_pb2 as _signal_pb2
from tradingsignals.v1 import statistics_pb2 as _statistics_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetLatestSignalRequest(_message.Message):
    __slots__ = ("symbol",)
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    symbol: str
    def __init__(self, symbol: _Optional[str] = ...) -> None: ...

class GetLatestSignalResponse(_message.Message):
    __slots__ = ("signal",)
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    signal: _signal_pb2.Signal
    def __init__(self, signal: _Optional[_Union[_signal_pb2.Signal, _Mapping]] = ...) -> None: ...

class ListSignalsRequest(_message.Message):
    __slots__ = ("limit", "action", "symbol", "start_date", "end_date", "page_token")
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    START_DATE_FIELD_NUMBER: _ClassVar[int]
    END_DATE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    limit: int
    action: _signal_pb2.Signal.Action
    symbol: str
    start_date: str
    end_date: str
    page_token: str
    def __init__(self, limit: _Optional[int] = ..., action: _Optional[_Union[_signal_pb2.Signal.Action, str]] = ..., symbol: _Optional[str] = ..., start_date: _Optional[str] = ..., end_date: _Optional[str] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListSignalsResponse(_message.Message):
    __slots__ = ("signals", "count", "next_page_token", "through_sequence")
    SIGNALS_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    THROUGH_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    signals: _containers.RepeatedCompositeFieldContainer[_signal_pb2.Signal]
    count: int
    next_page_token: str
    through_sequence: int
    def __init__(self, signals: _Optional[_Iterable[_Union[_signal_pb2.Signal, _Mapping]]] = ..., count: _Optional[int] = ..., next_page_token: _Optional[str] = ..., through_sequence: _Optional[int] = ...) -> None: ...

class GenerateSignalRequest(_message.Message):
    __slots__ = ("symbol", "close_price", "open_price", "high_price", "low_price", "volume", "rsi", "macd", "macd_signal", "bb_upper", "bb_lower", "ema_20", "ema_50", "atr")
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    CLOSE_PRICE_FIELD_NUMBER: _ClassVar[int]
    OPEN_PRICE_FIELD_NUMBER: _ClassVar[int]
    HIGH_PRICE_FIELD_NUMBER: _ClassVar[int]
    LOW_PRICE_FIELD_NUMBER: _ClassVar[int]
    VOLUME_FIELD_NUMBER: _ClassVar[int]
    RSI_FIELD_NUMBER: _ClassVar[int]
    MACD_FIELD_NUMBER: _ClassVar[int]
    MACD_SIGNAL_FIELD_NUMBER: _ClassVar[int]
    BB_UPPER_FIELD_NUMBER: _ClassVar[int]
    BB_LOWER_FIELD_NUMBER: _ClassVar[int]
    EMA_20_FIELD_NUMBER: _ClassVar[int]
    EMA_50_FIELD_NUMBER: _ClassVar[int]
    ATR_FIELD_NUMBER: _ClassVar[int]
    symbol: str
    close_price: float
    open_price: float
    high_price: float
    low_price: float
    volume: float
    rsi: float
    macd: float
    macd_signal: float
    bb_upper: float
    bb_lower: float
    ema_20: float
    ema_50: float
    atr: float
    def __init__(self, symbol: _Optional[str] = ..., close_price: _Optional[float] = ..., open_price: _Optional[float] = ..., high_price: _Optional[float] = ..., low_price: _Optional[float] = ..., volume: _Optional[float] = ..., rsi: _Optional[float] = ..., macd: _Optional[float] = ..., macd_signal: _Optional[float] = ..., bb_upper: _Optional[float] = ..., bb_lower: _Optional[float] = ..., ema_20: _Optional[float] = ..., ema_50: _Optional[float] = ..., atr: _Optional[float] = ...) -> None: ...

class GenerateSignalResponse(_message.Message):
    __slots__ = ("signal",)
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    signal: _signal_pb2.Signal
    def __init__(self, signal: _Optional[_Union[_signal_pb2.Signal, _Mapping]] = ...) -> None: ...

class GenerateSignalFromDbRequest(_message.Message):
    __slots__ = ("symbol", "lookback_bars")
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    LOOKBACK_BARS_FIELD_NUMBER: _ClassVar[int]
    symbol: str
    lookback_bars: int
    def __init__(self, symbol: _Optional[str] = ..., lookback_bars: _Optional[int] = ...) -> None: ...

class GenerateSignalFromDbResponse(_message.Message):
    __slots__ = ("signal",)
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    signal: _signal_pb2.Signal
    def __init__(self, signal: _Optional[_Union[_signal_pb2.Signal, _Mapping]] = ...) -> None: ...

class GetStatisticsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetStatisticsResponse(_message.Message):
    __slots__ = ("statistics",)
    STATISTICS_FIELD_NUMBER: _ClassVar[int]
    statistics: _statistics_pb2.Statistics
    def __init__(self, statistics: _Optional[_Union[_statistics_pb2.Statistics, _Mapping]] = ...) -> None: ...

class GetPerformanceRequest(_message.Message):
    __slots__ = ("basis", "fill", "shadow", "symbol", "action", "origin", "model_version", "model_key", "start_date", "end_date", "by")
    class Basis(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        BASIS_UNSPECIFIED: _ClassVar[GetPerformanceRequest.Basis]
        POSITIONS: _ClassVar[GetPerformanceRequest.Basis]
        SIGNALS: _ClassVar[GetPerformanceRequest.Basis]
    BASIS_UNSPECIFIED: GetPerformanceRequest.Basis
    POSITIONS: GetPerformanceRequest.Basis
    SIGNALS: GetPerformanceRequest.Basis
    BASIS_FIELD_NUMBER: _ClassVar[int]
    FILL_FIELD_NUMBER: _ClassVar[int]
    SHADOW_FIELD_NUMBER: _ClassVar[int]
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    MODEL_KEY_FIELD_NUMBER: _ClassVar[int]
    START_DATE_FIELD_NUMBER: _ClassVar[int]
    END_DATE_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    basis: GetPerformanceRequest.Basis
    fill: _outcome_pb2.Outcome.Fill
    shadow: bool
    symbol: str
    action: _signal_pb2.Signal.Action
    origin: _signal_pb2.Signal.Origin
    model_version: str
    model_key: str
    start_date: str
    end_date: str
    by: _containers.RepeatedScalarFieldContainer[_performance_pb2.PerformanceGroup.Dimension]
    def __init__(self, basis: _Optional[_Union[GetPerformanceRequest.Basis, str]] = ..., fill: _Optional[_Union[_outcome_pb2.Outcome.Fill, str]] = ..., shadow: _Optional[bool] = ..., symbol: _Optional[str] = ..., action: _Optional[_Union[_signal_pb2.Signal.Action, str]] = ..., origin: _Optional[_Union[_signal_pb2.Signal.Origin, str]] = ..., model_version: _Optional[str] = ..., model_key: _Optional[str] = ..., start_date: _Optional[str] = ..., end_date: _Optional[str] = ..., by: _Optional[_Iterable[_Union[_performance_pb2.PerformanceGroup.Dimension, str]]] = ...) -> None: ...

class GetPerformanceResponse(_message.Message):
    __slots__ = ("performance", "through_sequence")
    PERFORMANCE_FIELD_NUMBER: _ClassVar[int]
    THROUGH_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    performance: _performance_pb2.Performance
    through_sequence: int
    def __init__(self, performance: _Optional[_Union[_performance_pb2.Performance, _Mapping]] = ..., through_sequence: _Optional[int] = ...) -> None: ...

class ExplainSignalRequest(_message.Message):
    __slots__ = ("signal_id",)
    SIGNAL_ID_FIELD_NUMBER: _ClassVar[int]
    signal_id: str
    def __init__(self, signal_id: _Optional[str] = ...) -> None: ...

class ExplainSignalResponse(_message.Message):
    __slots__ = ("explanation",)
    EXPLANATION_FIELD_NUMBER: _ClassVar[int]
    explanation: _explanation_pb2.Explanation
    def __init__(self, explanation: _Optional[_Union[_explanation_pb2.Explanation, _Mapping]] = ...) -> None: ...

class ReplaySignalRequest(_message.Message):
    __slots__ = ("signal_id",)
    SIGNAL_ID_FIELD_NUMBER: _ClassVar[int]
    signal_id: str
    def __init__(self, signal_id: _Optional[str] = ...) -> None: ...

class ReplaySignalResponse(_message.Message):
    __slots__ = ("replay",)
    REPLAY_FIELD_NUMBER: _ClassVar[int]
    replay: _explanation_pb2.Replay
    def __init__(self, replay: _Optional[_Union[_explanation_pb2.Replay, _Mapping]] = ...) -> None: ...

class StreamSignalsRequest(_message.Message):
    __slots__ = ("symbols", "actions", "min_confidence", "resume_after", "heartbeat_seconds")
    SYMBOLS_FIELD_NUMBER: _ClassVar[int]
    ACTIONS_FIELD_NUMBER: _ClassVar[int]
    MIN_CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    RESUME_AFTER_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    symbols: _containers.RepeatedScalarFieldContainer[str]
    actions: _containers.RepeatedScalarFieldContainer[_signal_pb2.Signal.Action]
    min_confidence: float
    resume_after: int
    heartbeat_seconds: int
    def __init__(self, symbols: _Optional[_Iterable[str]] = ..., actions: _Optional[_Iterable[_Union[_signal_pb2.Signal.Action, str]]] = ..., min_confidence: _Optional[float] = ..., resume_after: _Optional[int] = ..., heartbeat_seconds: _Optional[int] = ...) -> None: ...

class StreamSignalsResponse(_message.Message):
    __slots__ = ("signals", "through_sequence", "error")
    SIGNALS_FIELD_NUMBER: _ClassVar[int]
    THROUGH_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    signals: _containers.RepeatedCompositeFieldContainer[_signal_pb2.Signal]
    through_sequence: int
    error: _event_pb2.StreamError
    def __init__(self, signals: _Optional[_Iterable[_Union[_signal_pb2.Signal, _Mapping]]] = ..., through_sequence: _Optional[int] = ..., error: _Optional[_Union[_event_pb2.StreamError, _Mapping]] = ...) -> None: ...
