from google.api import annotations_pb2 as _annotations_pb2
from tradingsignals.v1 import bar_pb2 as _bar_pb2
from tradingsignals.v1 import symbol_pb2 as _symbol_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PublishBarRequest(_message.Message):
    __slots__ = ("bar",)
    BAR_FIELD_NUMBER: _ClassVar[int]
    bar: _bar_pb2.Bar
    def __init__(self, bar: _Optional[_Union[_bar_pb2.Bar, _Mapping]] = ...) -> None: ...

class PublishBarResponse(_message.Message):
    __slots__ = ("receipt",)
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    receipt: _bar_pb2.BarReceipt
    def __init__(self, receipt: _Optional[_Union[_bar_pb2.BarReceipt, _Mapping]] = ...) -> None: ...

class PublishBarsRequest(_message.Message):
    __slots__ = ("bars",)
    BARS_FIELD_NUMBER: _ClassVar[int]
    bars: _containers.RepeatedCompositeFieldContainer[_bar_pb2.Bar]
    def __init__(self, bars: _Optional[_Iterable[_Union[_bar_pb2.Bar, _Mapping]]] = ...) -> None: ...

class PublishBarsResponse(_message.Message):
    __slots__ = ("received", "accepted", "warming_up", "outside_session", "late", "duplicates", "rejected", "rejections", "through_sequence", "other_interval")
    RECEIVED_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    WARMING_UP_FIELD_NUMBER: _ClassVar[int]
    OUTSIDE_SESSION_FIELD_NUMBER: _ClassVar[int]
    LATE_FIELD_NUMBER: _ClassVar[int]
    DUPLICATES_FIELD_NUMBER: _ClassVar[int]
    REJECTED_FIELD_NUMBER: _ClassVar[int]
    REJECTIONS_FIELD_NUMBER: _ClassVar[int]
    THROUGH_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    OTHER_INTERVAL_FIELD_NUMBER: _ClassVar[int]
    received: int
    accepted: int
    warming_up: int
    outside_session: int
    late: int
    duplicates: int
    rejected: int
    rejections: _containers.RepeatedCompositeFieldContainer[_bar_pb2.BarRejection]
    through_sequence: int
    other_interval: int
    def __init__(self, received: _Optional[int] = ..., accepted: _Optional[int] = ..., warming_up: _Optional[int] = ..., outside_session: _Optional[int] = ..., late: _Optional[int] = ..., duplicates: _Optional[int] = ..., rejected: _Optional[int] = ..., rejections: _Optional[_Iterable[_Union[_bar_pb2.BarRejection, _Mapping]]] = ..., through_sequence: _Optional[int] = ..., other_interval: _Optional[int] = ...) -> None: ...

class ListBarsRequest(_message.Message):
    __slots__ = ("symbol", "limit", "start_date", "end_date", "page_token")
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    START_DATE_FIELD_NUMBER: _ClassVar[int]
    END_DATE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    symbol: str
    limit: int
    start_date: str
    end_date: str
    page_token: str
    def __init__(self, symbol: _Optional[str] = ..., limit: _Optional[int] = ..., start_date: _Optional[str] = ..., end_date: _Optional[str] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListBarsResponse(_message.Message):
    __slots__ = ("bars", "count", "next_page_token")
    BARS_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    bars: _containers.RepeatedCompositeFieldContainer[_bar_pb2.Bar]
    count: int
    next_page_token: str
    def __init__(self, bars: _Optional[_Iterable[_Union[_bar_pb2.Bar, _Mapping]]] = ..., count: _Optional[int] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ListSymbolsRequest(_message.Message):
    __slots__ = ("limit", "page_token", "symbols", "closes")
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    SYMBOLS_FIELD_NUMBER: _ClassVar[int]
    CLOSES_FIELD_NUMBER: _ClassVar[int]
    limit: int
    page_token: str
    symbols: _containers.RepeatedScalarFieldContainer[str]
    closes: int
    def __init__(self, limit: _Optional[int] = ..., page_token: _Optional[str] = ..., symbols: _Optional[_Iterable[str]] = ..., closes: _Optional[int] = ...) -> None: ...

class ListSymbolsResponse(_message.Message):
    __slots__ = ("symbols", "count", "next_page_token", "through_sequence")
    SYMBOLS_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    THROUGH_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    symbols: _containers.RepeatedCompositeFieldContainer[_symbol_pb2.SymbolSummary]
    count: int
    next_page_token: str
    through_sequence: int
    def __init__(self, symbols: _Optional[_Iterable[_Union[_symbol_pb2.SymbolSummary, _Mapping]]] = ..., count: _Optional[int] = ..., next_page_token: _Optional[str] = ..., through_sequence: _Optional[int] = ...) -> None: ...
