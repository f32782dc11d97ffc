from google.api import annotations_pb2 as _annotations_pb2
from tradingsignals.v1 import event_pb2 as _event_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class StreamEventsRequest(_message.Message):
    __slots__ = ("symbols", "kinds", "min_confidence", "resume_after", "heartbeat_seconds", "start_time", "end_time", "speed")
    SYMBOLS_FIELD_NUMBER: _ClassVar[int]
    KINDS_FIELD_NUMBER: _ClassVar[int]
    MIN_CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    RESUME_AFTER_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    SPEED_FIELD_NUMBER: _ClassVar[int]
    symbols: _containers.RepeatedScalarFieldContainer[str]
    kinds: _containers.RepeatedScalarFieldContainer[_event_pb2.Event.Kind]
    min_confidence: float
    resume_after: int
    heartbeat_seconds: int
    start_time: str
    end_time: str
    speed: float
    def __init__(self, symbols: _Optional[_Iterable[str]] = ..., kinds: _Optional[_Iterable[_Union[_event_pb2.Event.Kind, str]]] = ..., min_confidence: _Optional[float] = ..., resume_after: _Optional[int] = ..., heartbeat_seconds: _Optional[int] = ..., start_time: _Optional[str] = ..., end_time: _Optional[str] = ..., speed: _Optional[float] = ...) -> None: ...

class StreamEventsResponse(_message.Message):
    __slots__ = ("events", "through_sequence")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    THROUGH_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[_event_pb2.Event]
    through_sequence: int
    def __init__(self, events: _Optional[_Iterable[_Union[_event_pb2.Event, _Mapping]]] = ..., through_sequence: _Optional[int] = ...) -> None: ...
