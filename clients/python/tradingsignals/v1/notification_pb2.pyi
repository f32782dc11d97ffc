import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from tradingsignals.v1 import event_pb2 as _event_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class NotificationEndpoint(_message.Message):
    __slots__ = ("endpoint_id", "name", "kind", "address", "state", "disabled_reason", "filter", "created_at", "delivered_through", "pending_entries", "lost_entries", "failed_attempts", "failing_since", "next_attempt_at")
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        KIND_UNSPECIFIED: _ClassVar[NotificationEndpoint.Kind]
        WEBHOOK: _ClassVar[NotificationEndpoint.Kind]
    KIND_UNSPECIFIED: NotificationEndpoint.Kind
    WEBHOOK: NotificationEndpoint.Kind
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[NotificationEndpoint.State]
        ACTIVE: _ClassVar[NotificationEndpoint.State]
        PAUSED: _ClassVar[NotificationEndpoint.State]
        DISABLED: _ClassVar[NotificationEndpoint.State]
    STATE_UNSPECIFIED: NotificationEndpoint.State
    ACTIVE: NotificationEndpoint.State
    PAUSED: NotificationEndpoint.State
    DISABLED: NotificationEndpoint.State
    ENDPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    DISABLED_REASON_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    DELIVERED_THROUGH_FIELD_NUMBER: _ClassVar[int]
    PENDING_ENTRIES_FIELD_NUMBER: _ClassVar[int]
    LOST_ENTRIES_FIELD_NUMBER: _ClassVar[int]
    FAILED_ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    FAILING_SINCE_FIELD_NUMBER: _ClassVar[int]
    NEXT_ATTEMPT_AT_FIELD_NUMBER: _ClassVar[int]
    endpoint_id: str
    name: str
    kind: NotificationEndpoint.Kind
    address: str
    state: NotificationEndpoint.State
    disabled_reason: str
    filter: NotificationFilter
    created_at: _timestamp_pb2.Timestamp
    delivered_through: int
    pending_entries: int
    lost_entries: int
    failed_attempts: int
    failing_since: _timestamp_pb2.Timestamp
    next_attempt_at: _timestamp_pb2.Timestamp
    def __init__(self, endpoint_id: _Optional[str] = ..., name: _Optional[str] = ..., kind: _Optional[_Union[NotificationEndpoint.Kind, str]] = ..., address: _Optional[str] = ..., state: _Optional[_Union[NotificationEndpoint.State, str]] = ..., disabled_reason: _Optional[str] = ..., filter: _Optional[_Union[NotificationFilter, _Mapping]] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., delivered_through: _Optional[int] = ..., pending_entries: _Optional[int] = ..., lost_entries: _Optional[int] = ..., failed_attempts: _Optional[int] = ..., failing_since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., next_attempt_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class NotificationFilter(_message.Message):
    __slots__ = ("kinds", "symbols", "min_confidence")
    KINDS_FIELD_NUMBER: _ClassVar[int]
    SYMBOLS_FIELD_NUMBER: _ClassVar[int]
    MIN_CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    kinds: _containers.RepeatedScalarFieldContainer[_event_pb2.Event.Kind]
    symbols: _containers.RepeatedScalarFieldContainer[str]
    min_confidence: float
    def __init__(self, kinds: _Optional[_Iterable[_Union[_event_pb2.Event.Kind, str]]] = ..., symbols: _Optional[_Iterable[str]] = ..., min_confidence: _Optional[float] = ...) -> None: ...

class NotificationDelivery(_message.Message):
    __slots__ = ("sequence", "attempt", "time", "delivered", "http_status", "error", "latency_ms")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    DELIVERED_FIELD_NUMBER: _ClassVar[int]
    HTTP_STATUS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    LATENCY_MS_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    attempt: int
    time: _timestamp_pb2.Timestamp
    delivered: bool
    http_status: int
    error: str
    latency_ms: float
    def __init__(self, sequence: _Optional[int] = ..., attempt: _Optional[int] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., delivered: _Optional[bool] = ..., http_status: _Optional[int] = ..., error: _Optional[str] = ..., latency_ms: _Optional[float] = ...) -> None: ...
