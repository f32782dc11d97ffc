import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from tradingsignals.v1 import signal_pb2 as _signal_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SymbolSummary(_message.Message):
    __slots__ = ("symbol", "interval", "last_bar_time", "last_close", "closes", "latest_signal", "open_position", "simulated")
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_FIELD_NUMBER: _ClassVar[int]
    LAST_BAR_TIME_FIELD_NUMBER: _ClassVar[int]
    LAST_CLOSE_FIELD_NUMBER: _ClassVar[int]
    CLOSES_FIELD_NUMBER: _ClassVar[int]
    LATEST_SIGNAL_FIELD_NUMBER: _ClassVar[int]
    OPEN_POSITION_FIELD_NUMBER: _ClassVar[int]
    SIMULATED_FIELD_NUMBER: _ClassVar[int]
    symbol: str
    interval: str
    last_bar_time: _timestamp_pb2.Timestamp
    last_close: float
    closes: _containers.RepeatedScalarFieldContainer[float]
    latest_signal: SignalSummary
    open_position: PositionSummary
    simulated: bool
    def __init__(self, symbol: _Optional[str] = ..., interval: _Optional[str] = ..., last_bar_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_close: _Optional[float] = ..., closes: _Optional[_Iterable[float]] = ..., latest_signal: _Optional[_Union[SignalSummary, _Mapping]] = ..., open_position: _Optional[_Union[PositionSummary, _Mapping]] = ..., simulated: _Optional[bool] = ...) -> None: ...

class SignalSummary(_message.Message):
    __slots__ = ("signal_id", "sequence", "action", "confidence", "timestamp", "bar_time")
    SIGNAL_ID_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    BAR_TIME_FIELD_NUMBER: _ClassVar[int]
    signal_id: str
    sequence: int
    action: _signal_pb2.Signal.Action
    confidence: float
    timestamp: _timestamp_pb2.Timestamp
    bar_time: _timestamp_pb2.Timestamp
    def __init__(self, signal_id: _Optional[str] = ..., sequence: _Optional[int] = ..., action: _Optional[_Union[_signal_pb2.Signal.Action, str]] = ..., confidence: _Optional[float] = ..., timestamp: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., bar_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class PositionSummary(_message.Message):
    __slots__ = ("position_id", "action", "current_pnl_pct")
    POSITION_ID_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    CURRENT_PNL_PCT_FIELD_NUMBER: _ClassVar[int]
    position_id: str
    action: _signal_pb2.Signal.Action
    current_pnl_pct: float
    def __init__(self, position_id: _Optional[str] = ..., action: _Optional[_Union[_signal_pb2.Signal.Action, str]] = ..., current_pnl_pct: _Optional[float] = ...) -> None: ...
