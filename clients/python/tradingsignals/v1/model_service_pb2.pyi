from google.api import annotations_pb2 as _annotations_pb2
from tradingsignals.v1 import model_pb2 as _model_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetModelInfoRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetModelInfoResponse(_message.Message):
    __slots__ = ("model", "shadow")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    SHADOW_FIELD_NUMBER: _ClassVar[int]
    model: _model_pb2.Model
    shadow: _model_pb2.Shadow
    def __init__(self, model: _Optional[_Union[_model_pb2.Model, _Mapping]] = ..., shadow: _Optional[_Union[_model_pb2.Shadow, _Mapping]] = ...) -> None: ...

class ReloadModelRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ReloadModelResponse(_message.Message):
    __slots__ = ("model", "changed")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    model: _model_pb2.Model
    changed: bool
    def __init__(self, model: _Optional[_Union[_model_pb2.Model, _Mapping]] = ..., changed: _Optional[bool] = ...) -> None: ...
