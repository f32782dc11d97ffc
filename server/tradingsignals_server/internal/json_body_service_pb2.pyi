from google.api import annotations_pb2 as _annotations_pb2
from google.api import httpbody_pb2 as _httpbody_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class BodyRequest(_message.Message):
    __slots__ = ("body",)
    BODY_FIELD_NUMBER: _ClassVar[int]
    body: _httpbody_pb2.HttpBody
    def __init__(self, body: _Optional[_Union[_httpbody_pb2.HttpBody, _Mapping]] = ...) -> None: ...

class RevokeKeyBodyRequest(_message.Message):
    __slots__ = ("key_id", "body")
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    key_id: str
    body: _httpbody_pb2.HttpBody
    def __init__(self, key_id: _Optional[str] = ..., body: _Optional[_Union[_httpbody_pb2.HttpBody, _Mapping]] = ...) -> None: ...

class HaltTradingBodyRequest(_message.Message):
    __slots__ = ("reason", "by", "body")
    REASON_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    reason: str
    by: str
    body: _httpbody_pb2.HttpBody
    def __init__(self, reason: _Optional[str] = ..., by: _Optional[str] = ..., body: _Optional[_Union[_httpbody_pb2.HttpBody, _Mapping]] = ...) -> None: ...

class ResumeTradingBodyRequest(_message.Message):
    __slots__ = ("reason", "by", "body")
    REASON_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    reason: str
    by: str
    body: _httpbody_pb2.HttpBody
    def __init__(self, reason: _Optional[str] = ..., by: _Optional[str] = ..., body: _Optional[_Union[_httpbody_pb2.HttpBody, _Mapping]] = ...) -> None: ...

class UpdateEndpointBodyRequest(_message.Message):
    __slots__ = ("endpoint_id", "body")
    ENDPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    endpoint_id: str
    body: _httpbody_pb2.HttpBody
    def __init__(self, endpoint_id: _Optional[str] = ..., body: _Optional[_Union[_httpbody_pb2.HttpBody, _Mapping]] = ...) -> None: ...

class DeleteEndpointBodyRequest(_message.Message):
    __slots__ = ("endpoint_id", "body")
    ENDPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    endpoint_id: str
    body: _httpbody_pb2.HttpBody
    def __init__(self, endpoint_id: _Optional[str] = ..., body: _Optional[_Union[_httpbody_pb2.HttpBody, _Mapping]] = ...) -> None: ...

class TestEndpointBodyRequest(_message.Message):
    __slots__ = ("endpoint_id", "body")
    ENDPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    endpoint_id: str
    body: _httpbody_pb2.HttpBody
    def __init__(self, endpoint_id: _Optional[str] = ..., body: _Optional[_Union[_httpbody_pb2.HttpBody, _Mapping]] = ...) -> None: ...

class ClosePositionBodyRequest(_message.Message):
    __slots__ = ("position_id", "price", "body")
    POSITION_ID_FIELD_NUMBER: _ClassVar[int]
    PRICE_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    position_id: str
    price: float
    body: _httpbody_pb2.HttpBody
    def __init__(self, position_id: _Optional[str] = ..., price: _Optional[float] = ..., body: _Optional[_Union[_httpbody_pb2.HttpBody, _Mapping]] = ...) -> None: ...

class GenerateSignalFromDbBodyRequest(_message.Message):
    __slots__ = ("symbol", "lookback_bars", "body")
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    LOOKBACK_BARS_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    symbol: str
    lookback_bars: int
    body: _httpbody_pb2.HttpBody
    def __init__(self, symbol: _Optional[str] = ..., lookback_bars: _Optional[int] = ..., body: _Optional[_Union[_httpbody_pb2.HttpBody, _Mapping]] = ...) -> None: ...

class ReplaySignalBodyRequest(_message.Message):
    __slots__ = ("signal_id", "body")
    SIGNAL_ID_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    signal_id: str
    body: _httpbody_pb2.HttpBody
    def __init__(self, signal_id: _Optional[str] = ..., body: _Optional[_Union[_httpbody_pb2.HttpBody, _Mapping]] = ...) -> None: ...
