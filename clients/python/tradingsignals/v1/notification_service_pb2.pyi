from google.api import annotations_pb2 as _annotations_pb2
from tradingsignals.v1 import notification_pb2 as _notification_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CreateEndpointRequest(_message.Message):
    __slots__ = ("name", "url", "filter", "resume_after")
    NAME_FIELD_NUMBER: _ClassVar[int]
    URL_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    RESUME_AFTER_FIELD_NUMBER: _ClassVar[int]
    name: str
    url: str
    filter: _notification_pb2.NotificationFilter
    resume_after: int
    def __init__(self, name: _Optional[str] = ..., url: _Optional[str] = ..., filter: _Optional[_Union[_notification_pb2.NotificationFilter, _Mapping]] = ..., resume_after: _Optional[int] = ...) -> None: ...

class CreateEndpointResponse(_message.Message):
    __slots__ = ("endpoint", "secret")
    ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    SECRET_FIELD_NUMBER: _ClassVar[int]
    endpoint: _notification_pb2.NotificationEndpoint
    secret: str
    def __init__(self, endpoint: _Optional[_Union[_notification_pb2.NotificationEndpoint, _Mapping]] = ..., secret: _Optional[str] = ...) -> None: ...

class ListEndpointsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListEndpointsResponse(_message.Message):
    __slots__ = ("endpoints", "count", "through_sequence")
    ENDPOINTS_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    THROUGH_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    endpoints: _containers.RepeatedCompositeFieldContainer[_notification_pb2.NotificationEndpoint]
    count: int
    through_sequence: int
    def __init__(self, endpoints: _Optional[_Iterable[_Union[_notification_pb2.NotificationEndpoint, _Mapping]]] = ..., count: _Optional[int] = ..., through_sequence: _Optional[int] = ...) -> None: ...

class UpdateEndpointRequest(_message.Message):
    __slots__ = ("endpoint_id", "changes")
    ENDPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    endpoint_id: str
    changes: EndpointChanges
    def __init__(self, endpoint_id: _Optional[str] = ..., changes: _Optional[_Union[EndpointChanges, _Mapping]] = ...) -> None: ...

class EndpointChanges(_message.Message):
    __slots__ = ("url", "filter", "paused", "resume_after")
    URL_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    PAUSED_FIELD_NUMBER: _ClassVar[int]
    RESUME_AFTER_FIELD_NUMBER: _ClassVar[int]
    url: str
    filter: _notification_pb2.NotificationFilter
    paused: bool
    resume_after: int
    def __init__(self, url: _Optional[str] = ..., filter: _Optional[_Union[_notification_pb2.NotificationFilter, _Mapping]] = ..., paused: _Optional[bool] = ..., resume_after: _Optional[int] = ...) -> None: ...

class UpdateEndpointResponse(_message.Message):
    __slots__ = ("endpoint",)
    ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    endpoint: _notification_pb2.NotificationEndpoint
    def __init__(self, endpoint: _Optional[_Union[_notification_pb2.NotificationEndpoint, _Mapping]] = ...) -> None: ...

class DeleteEndpointRequest(_message.Message):
    __slots__ = ("endpoint_id",)
    ENDPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    endpoint_id: str
    def __init__(self, endpoint_id: _Optional[str] = ...) -> None: ...

class DeleteEndpointResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class TestEndpointRequest(_message.Message):
    __slots__ = ("endpoint_id",)
    ENDPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    endpoint_id: str
    def __init__(self, endpoint_id: _Optional[str] = ...) -> None: ...

class TestEndpointResponse(_message.Message):
    __slots__ = ("delivered", "http_status", "error", "latency_ms", "response")
    DELIVERED_FIELD_NUMBER: _ClassVar[int]
    HTTP_STATUS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    LATENCY_MS_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    delivered: bool
    http_status: int
    error: str
    latency_ms: float
    response: str
    def __init__(self, delivered: _Optional[bool] = ..., http_status: _Optional[int] = ..., error: _Optional[str] = ..., latency_ms: _Optional[float] = ..., response: _Optional[str] = ...) -> None: ...

class ListDeliveriesRequest(_message.Message):
    __slots__ = ("endpoint_id", "limit")
    ENDPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    endpoint_id: str
    limit: int
    def __init__(self, endpoint_id: _Optional[str] = ..., limit: _Optional[int] = ...) -> None: ...

class ListDeliveriesResponse(_message.Message):
    __slots__ = ("deliveries", "count")
    DELIVERIES_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    deliveries: _containers.RepeatedCompositeFieldContainer[_notification_pb2.NotificationDelivery]
    count: int
    def __init__(self, deliveries: _Optional[_Iterable[_Union[_notification_pb2.NotificationDelivery, _Mapping]]] = ..., count: _Optional[int] = ...) -> None: ...
