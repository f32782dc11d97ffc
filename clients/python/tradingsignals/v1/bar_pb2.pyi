import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Bar(_message.Message):
    __slots__ = ("time", "symbol", "open", "high", "low", "close", "volume", "interval")
    TIME_FIELD_NUMBER: _ClassVar[int]
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    OPEN_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    LOW_FIELD_NUMBER: _ClassVar[int]
    CLOSE_FIELD_NUMBER: _ClassVar[int]
    VOLUME_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_FIELD_NUMBER: _ClassVar[int]
    time: _timestamp_pb2.Timestamp
    symbol: str
    open: float
    high: float
    low: float
    close: float
    volume: float
    interval: str
    def __init__(self, time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., symbol: _Optional[str] = ..., open: _Optional[float] = ..., high: _Optional[float] = ..., low: _Optional[float] = ..., close: _Optional[float] = ..., volume: _Optional[float] = ..., interval: _Optional[str] = ...) -> None: ...

class BarReceipt(_message.Message):
    __slots__ = ("symbol", "time", "disposition", "signal_id", "through_sequence")
    class Disposition(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        DISPOSITION_UNSPECIFIED: _ClassVar[BarReceipt.Disposition]
        ACCEPTED: _ClassVar[BarReceipt.Disposition]
        WARMING_UP: _ClassVar[BarReceipt.Disposition]
        OUTSIDE_SESSION: _ClassVar[BarReceipt.Disposition]
        LATE: _ClassVar[BarReceipt.Disposition]
        DUPLICATE: _ClassVar[BarReceipt.Disposition]
        OTHER_INTERVAL: _ClassVar[BarReceipt.Disposition]
    DISPOSITION_UNSPECIFIED: BarReceipt.Disposition
    ACCEPTED: BarReceipt.Disposition
    WARMING_UP: BarReceipt.Disposition
    OUTSIDE_SESSION: BarReceipt.Disposition
    LATE: BarReceipt.Disposition
    DUPLICATE: BarReceipt.Disposition
    OTHER_INTERVAL: BarReceipt.Disposition
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    DISPOSITION_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_ID_FIELD_NUMBER: _ClassVar[int]
    THROUGH_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    symbol: str
    time: _timestamp_pb2.Timestamp
    disposition: BarReceipt.Disposition
    signal_id: str
    through_sequence: int
    def __init__(self, symbol: _Optional[str] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., disposition: _Optional[_Union[BarReceipt.Disposition, str]] = ..., signal_id: _Optional[str] = ..., through_sequence: _Optional[int] = ...) -> None: ...

class BarRejection(_message.Message):
    __slots__ = ("index", "symbol", "time", "reason", "message")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    index: int
    symbol: str
    time: _timestamp_pb2.Timestamp
    reason: str
    message: str
    def __init__(self, index: _Optional[int] = ..., symbol: _Optional[str] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...
