import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from tradingsignals.v1 import bar_pb2 as _bar_pb2
from tradingsignals.v1 import outcome_pb2 as _outcome_pb2
from tradingsignals.v1 import position_pb2 as _position_pb2
from tradingsignals.v1 import signal_pb2 as _signal_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Event(_message.Message):
    __slots__ = ("sequence", "event_time", "signal", "market_update", "position_update", "heartbeat", "error", "outcome", "trading_control")
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        KIND_UNSPECIFIED: _ClassVar[Event.Kind]
        SIGNAL: _ClassVar[Event.Kind]
        MARKET_UPDATE: _ClassVar[Event.Kind]
        POSITION_UPDATE: _ClassVar[Event.Kind]
        OUTCOME: _ClassVar[Event.Kind]
        TRADING_CONTROL: _ClassVar[Event.Kind]
    KIND_UNSPECIFIED: Event.Kind
    SIGNAL: Event.Kind
    MARKET_UPDATE: Event.Kind
    POSITION_UPDATE: Event.Kind
    OUTCOME: Event.Kind
    TRADING_CONTROL: Event.Kind
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    EVENT_TIME_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    MARKET_UPDATE_FIELD_NUMBER: _ClassVar[int]
    POSITION_UPDATE_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    TRADING_CONTROL_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    event_time: _timestamp_pb2.Timestamp
    signal: _signal_pb2.Signal
    market_update: MarketUpdate
    position_update: _position_pb2.Position
    heartbeat: Heartbeat
    error: StreamError
    outcome: _outcome_pb2.Outcome
    trading_control: TradingControl
    def __init__(self, sequence: _Optional[int] = ..., event_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., signal: _Optional[_Union[_signal_pb2.Signal, _Mapping]] = ..., market_update: _Optional[_Union[MarketUpdate, _Mapping]] = ..., position_update: _Optional[_Union[_position_pb2.Position, _Mapping]] = ..., heartbeat: _Optional[_Union[Heartbeat, _Mapping]] = ..., error: _Optional[_Union[StreamError, _Mapping]] = ..., outcome: _Optional[_Union[_outcome_pb2.Outcome, _Mapping]] = ..., trading_control: _Optional[_Union[TradingControl, _Mapping]] = ...) -> None: ...

class MarketUpdate(_message.Message):
    __slots__ = ("bar", "disposition")
    BAR_FIELD_NUMBER: _ClassVar[int]
    DISPOSITION_FIELD_NUMBER: _ClassVar[int]
    bar: _bar_pb2.Bar
    disposition: _bar_pb2.BarReceipt.Disposition
    def __init__(self, bar: _Optional[_Union[_bar_pb2.Bar, _Mapping]] = ..., disposition: _Optional[_Union[_bar_pb2.BarReceipt.Disposition, str]] = ...) -> None: ...

class TradingControl(_message.Message):
    __slots__ = ("halted", "reason", "by", "time")
    HALTED_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    halted: bool
    reason: str
    by: str
    time: _timestamp_pb2.Timestamp
    def __init__(self, halted: _Optional[bool] = ..., reason: _Optional[str] = ..., by: _Optional[str] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Heartbeat(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class StreamError(_message.Message):
    __slots__ = ("reason", "message", "retryable")
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    RETRYABLE_FIELD_NUMBER: _ClassVar[int]
    reason: str
    message: str
    retryable: bool
    def __init__(self, reason: _Optional[str] = ..., message: _Optional[str] = ..., retryable: _Optional[bool] = ...) -> None: ...
