from google.api import annotations_pb2 as _annotations_pb2
from tradingsignals.v1 import event_pb2 as _event_pb2
from tradingsignals.v1 import position_pb2 as _position_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ListActivePositionsRequest(_message.Message):
    __slots__ = ("symbol",)
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    symbol: str
    def __init__(self, symbol: _Optional[str] = ...) -> None: ...

class ListActivePositionsResponse(_message.Message):
    __slots__ = ("positions", "count", "through_sequence")
    POSITIONS_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    THROUGH_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    positions: _containers.RepeatedCompositeFieldContainer[_position_pb2.Position]
    count: int
    through_sequence: int
    def __init__(self, positions: _Optional[_Iterable[_Union[_position_pb2.Position, _Mapping]]] = ..., count: _Optional[int] = ..., through_sequence: _Optional[int] = ...) -> None: ...

class ListClosedPositionsRequest(_message.Message):
    __slots__ = ("limit", "page_token", "symbol")
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    limit: int
    page_token: str
    symbol: str
    def __init__(self, limit: _Optional[int] = ..., page_token: _Optional[str] = ..., symbol: _Optional[str] = ...) -> None: ...

class ListClosedPositionsResponse(_message.Message):
    __slots__ = ("positions", "count", "next_page_token", "through_sequence")
    POSITIONS_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    THROUGH_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    positions: _containers.RepeatedCompositeFieldContainer[_position_pb2.Position]
    count: int
    next_page_token: str
    through_sequence: int
    def __init__(self, positions: _Optional[_Iterable[_Union[_position_pb2.Position, _Mapping]]] = ..., count: _Optional[int] = ..., next_page_token: _Optional[str] = ..., through_sequence: _Optional[int] = ...) -> None: ...

class ClosePositionRequest(_message.Message):
    __slots__ = ("position_id", "price")
    POSITION_ID_FIELD_NUMBER: _ClassVar[int]
    PRICE_FIELD_NUMBER: _ClassVar[int]
    position_id: str
    price: float
    def __init__(self, position_id: _Optional[str] = ..., price: _Optional[float] = ...) -> None: ...

class ClosePositionResponse(_message.Message):
    __slots__ = ("position",)
    POSITION_FIELD_NUMBER: _ClassVar[int]
    position: _position_pb2.Position
    def __init__(self, position: _Optional[_Union[_position_pb2.Position, _Mapping]] = ...) -> None: ...

class StreamPositionsRequest(_message.Message):
    __slots__ = ("symbols", "resume_after", "heartbeat_seconds")
    SYMBOLS_FIELD_NUMBER: _ClassVar[int]
    RESUME_AFTER_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    symbols: _containers.RepeatedScalarFieldContainer[str]
    resume_after: int
    heartbeat_seconds: int
    def __init__(self, symbols: _Optional[_Iterable[str]] = ..., resume_after: _Optional[int] = ..., heartbeat_seconds: _Optional[int] = ...) -> None: ...

class StreamPositionsResponse(_message.Message):
    __slots__ = ("positions", "through_sequence", "error")
    POSITIONS_FIELD_NUMBER: _ClassVar[int]
    THROUGH_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    positions: _containers.RepeatedCompositeFieldContainer[_position_pb2.Position]
    through_sequence: int
    error: _event_pb2.StreamError
    def __init__(self, positions: _Optional[_Iterable[_Union[_position_pb2.Position, _Mapping]]] = ..., through_sequence: _Optional[int] = ..., error: _Optional[_Union[_event_pb2.StreamError, _Mapping]] = ...) -> None: ...
