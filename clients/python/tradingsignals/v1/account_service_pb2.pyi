from google.api import annotations_pb2 as _annotations_pb2
from tradingsignals.v1 import account_pb2 as _account_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class HaltTradingRequest(_message.Message):
    __slots__ = ("reason", "by")
    REASON_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    reason: str
    by: str
    def __init__(self, reason: _Optional[str] = ..., by: _Optional[str] = ...) -> None: ...

class HaltTradingResponse(_message.Message):
    __slots__ = ("trading",)
    TRADING_FIELD_NUMBER: _ClassVar[int]
    trading: _account_pb2.Trading
    def __init__(self, trading: _Optional[_Union[_account_pb2.Trading, _Mapping]] = ...) -> None: ...

class ResumeTradingRequest(_message.Message):
    __slots__ = ("reason", "by")
    REASON_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    reason: str
    by: str
    def __init__(self, reason: _Optional[str] = ..., by: _Optional[str] = ...) -> None: ...

class ResumeTradingResponse(_message.Message):
    __slots__ = ("trading",)
    TRADING_FIELD_NUMBER: _ClassVar[int]
    trading: _account_pb2.Trading
    def __init__(self, trading: _Optional[_Union[_account_pb2.Trading, _Mapping]] = ...) -> None: ...

class GetAccountRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetAccountResponse(_message.Message):
    __slots__ = ("account", "through_sequence", "protections")
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    THROUGH_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    PROTECTIONS_FIELD_NUMBER: _ClassVar[int]
    account: _account_pb2.Account
    through_sequence: int
    protections: _containers.RepeatedCompositeFieldContainer[_account_pb2.Protection]
    def __init__(self, account: _Optional[_Union[_account_pb2.Account, _Mapping]] = ..., through_sequence: _Optional[int] = ..., protections: _Optional[_Iterable[_Union[_account_pb2.Protection, _Mapping]]] = ...) -> None: ...

class ListEquityRequest(_message.Message):
    __slots__ = ("limit", "page_token", "resolution", "start_date", "end_date")
    class Resolution(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        RESOLUTION_UNSPECIFIED: _ClassVar[ListEquityRequest.Resolution]
        BAR: _ClassVar[ListEquityRequest.Resolution]
        DAY: _ClassVar[ListEquityRequest.Resolution]
    RESOLUTION_UNSPECIFIED: ListEquityRequest.Resolution
    BAR: ListEquityRequest.Resolution
    DAY: ListEquityRequest.Resolution
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    RESOLUTION_FIELD_NUMBER: _ClassVar[int]
    START_DATE_FIELD_NUMBER: _ClassVar[int]
    END_DATE_FIELD_NUMBER: _ClassVar[int]
    limit: int
    page_token: str
    resolution: ListEquityRequest.Resolution
    start_date: str
    end_date: str
    def __init__(self, limit: _Optional[int] = ..., page_token: _Optional[str] = ..., resolution: _Optional[_Union[ListEquityRequest.Resolution, str]] = ..., start_date: _Optional[str] = ..., end_date: _Optional[str] = ...) -> None: ...

class ListEquityResponse(_message.Message):
    __slots__ = ("points", "count", "next_page_token", "through_sequence")
    POINTS_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    THROUGH_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    points: _containers.RepeatedCompositeFieldContainer[_account_pb2.EquityPoint]
    count: int
    next_page_token: str
    through_sequence: int
    def __init__(self, points: _Optional[_Iterable[_Union[_account_pb2.EquityPoint, _Mapping]]] = ..., count: _Optional[int] = ..., next_page_token: _Optional[str] = ..., through_sequence: _Optional[int] = ...) -> None: ...
