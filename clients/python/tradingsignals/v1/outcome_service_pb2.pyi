from google.api import annotations_pb2 as _annotations_pb2
from tradingsignals.v1 import outcome_pb2 as _outcome_pb2
from tradingsignals.v1 import signal_pb2 as _signal_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ListOutcomesRequest(_message.Message):
    __slots__ = ("limit", "page_token", "symbol", "action", "resolution", "fill", "model_version", "shadow", "start_date", "end_date")
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    RESOLUTION_FIELD_NUMBER: _ClassVar[int]
    FILL_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    SHADOW_FIELD_NUMBER: _ClassVar[int]
    START_DATE_FIELD_NUMBER: _ClassVar[int]
    END_DATE_FIELD_NUMBER: _ClassVar[int]
    limit: int
    page_token: str
    symbol: str
    action: _signal_pb2.Signal.Action
    resolution: _outcome_pb2.Outcome.Resolution
    fill: _outcome_pb2.Outcome.Fill
    model_version: str
    shadow: bool
    start_date: str
    end_date: str
    def __init__(self, limit: _Optional[int] = ..., page_token: _Optional[str] = ..., symbol: _Optional[str] = ..., action: _Optional[_Union[_signal_pb2.Signal.Action, str]] = ..., resolution: _Optional[_Union[_outcome_pb2.Outcome.Resolution, str]] = ..., fill: _Optional[_Union[_outcome_pb2.Outcome.Fill, str]] = ..., model_version: _Optional[str] = ..., shadow: _Optional[bool] = ..., start_date: _Optional[str] = ..., end_date: _Optional[str] = ...) -> None: ...

class ListOutcomesResponse(_message.Message):
    __slots__ = ("outcomes", "count", "next_page_token", "through_sequence")
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    THROUGH_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    outcomes: _containers.RepeatedCompositeFieldContainer[_outcome_pb2.Outcome]
    count: int
    next_page_token: str
    through_sequence: int
    def __init__(self, outcomes: _Optional[_Iterable[_Union[_outcome_pb2.Outcome, _Mapping]]] = ..., count: _Optional[int] = ..., next_page_token: _Optional[str] = ..., through_sequence: _Optional[int] = ...) -> None: ...
