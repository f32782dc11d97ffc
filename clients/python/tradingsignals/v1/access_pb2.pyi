import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ApiKey(_message.Message):
    __slots__ = ("key_id", "name", "role", "state", "networks", "created_at", "expires_at", "last_used_at", "revoked_at")
    class Role(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        ROLE_UNSPECIFIED: _ClassVar[ApiKey.Role]
        VIEWER: _ClassVar[ApiKey.Role]
        PUBLISHER: _ClassVar[ApiKey.Role]
        TRADER: _ClassVar[ApiKey.Role]
        ADMIN: _ClassVar[ApiKey.Role]
    ROLE_UNSPECIFIED: ApiKey.Role
    VIEWER: ApiKey.Role
    PUBLISHER: ApiKey.Role
    TRADER: ApiKey.Role
    ADMIN: ApiKey.Role
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[ApiKey.State]
        VALID: _ClassVar[ApiKey.State]
        REVOKED: _ClassVar[ApiKey.State]
        EXPIRED: _ClassVar[ApiKey.State]
    STATE_UNSPECIFIED: ApiKey.State
    VALID: ApiKey.State
    REVOKED: ApiKey.State
    EXPIRED: ApiKey.State
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    NETWORKS_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    LAST_USED_AT_FIELD_NUMBER: _ClassVar[int]
    REVOKED_AT_FIELD_NUMBER: _ClassVar[int]
    key_id: str
    name: str
    role: ApiKey.Role
    state: ApiKey.State
    networks: _containers.RepeatedScalarFieldContainer[str]
    created_at: _timestamp_pb2.Timestamp
    expires_at: _timestamp_pb2.Timestamp
    last_used_at: _timestamp_pb2.Timestamp
    revoked_at: _timestamp_pb2.Timestamp
    def __init__(self, key_id: _Optional[str] = ..., name: _Optional[str] = ..., role: _Optional[_Union[ApiKey.Role, str]] = ..., state: _Optional[_Union[ApiKey.State, str]] = ..., networks: _Optional[_Iterable[str]] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_used_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., revoked_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Caller(_message.Message):
    __slots__ = ("credential", "caller_id", "name", "role", "expires_at", "methods")
    CREDENTIAL_FIELD_NUMBER: _ClassVar[int]
    CALLER_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    METHODS_FIELD_NUMBER: _ClassVar[int]
    credential: str
    caller_id: str
    name: str
    role: ApiKey.Role
    expires_at: _timestamp_pb2.Timestamp
    methods: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, credential: _Optional[str] = ..., caller_id: _Optional[str] = ..., name: _Optional[str] = ..., role: _Optional[_Union[ApiKey.Role, str]] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., methods: _Optional[_Iterable[str]] = ...) -> None: ...

class AuditEntry(_message.Message):
    __slots__ = ("entry_id", "time", "credential", "caller_id", "caller_name", "role", "address", "method", "request", "result", "reason", "count", "request_id", "replayed")
    ENTRY_ID_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    CREDENTIAL_FIELD_NUMBER: _ClassVar[int]
    CALLER_ID_FIELD_NUMBER: _ClassVar[int]
    CALLER_NAME_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    entry_id: str
    time: _timestamp_pb2.Timestamp
    credential: str
    caller_id: str
    caller_name: str
    role: str
    address: str
    method: str
    request: str
    result: str
    reason: str
    count: int
    request_id: str
    replayed: bool
    def __init__(self, entry_id: _Optional[str] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., credential: _Optional[str] = ..., caller_id: _Optional[str] = ..., caller_name: _Optional[str] = ..., role: _Optional[str] = ..., address: _Optional[str] = ..., method: _Optional[str] = ..., request: _Optional[str] = ..., result: _Optional[str] = ..., reason: _Optional[str] = ..., count: _Optional[int] = ..., request_id: _Optional[str] = ..., replayed: _Optional[bool] = ...) -> None: ...
