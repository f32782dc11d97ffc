from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Model(_message.Message):
    __slots__ = ("loaded", "version", "mode", "providers", "inputs", "outputs", "inference_count", "avg_latency_ms", "type", "file_sha256", "feature_specification", "feature_names", "lookback_bars")
    LOADED_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    PROVIDERS_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    INFERENCE_COUNT_FIELD_NUMBER: _ClassVar[int]
    AVG_LATENCY_MS_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    FILE_SHA256_FIELD_NUMBER: _ClassVar[int]
    FEATURE_SPECIFICATION_FIELD_NUMBER: _ClassVar[int]
    FEATURE_NAMES_FIELD_NUMBER: _ClassVar[int]
    LOOKBACK_BARS_FIELD_NUMBER: _ClassVar[int]
    loaded: bool
    version: str
    mode: str
    providers: _containers.RepeatedScalarFieldContainer[str]
    inputs: _containers.RepeatedCompositeFieldContainer[Tensor]
    outputs: _containers.RepeatedCompositeFieldContainer[Tensor]
    inference_count: int
    avg_latency_ms: float
    type: str
    file_sha256: str
    feature_specification: str
    feature_names: _containers.RepeatedScalarFieldContainer[str]
    lookback_bars: int
    def __init__(self, loaded: _Optional[bool] = ..., version: _Optional[str] = ..., mode: _Optional[str] = ..., providers: _Optional[_Iterable[str]] = ..., inputs: _Optional[_Iterable[_Union[Tensor, _Mapping]]] = ..., outputs: _Optional[_Iterable[_Union[Tensor, _Mapping]]] = ..., inference_count: _Optional[int] = ..., avg_latency_ms: _Optional[float] = ..., type: _Optional[str] = ..., file_sha256: _Optional[str] = ..., feature_specification: _Optional[str] = ..., feature_names: _Optional[_Iterable[str]] = ..., lookback_bars: _Optional[int] = ...) -> None: ...

class Tensor(_message.Message):
    __slots__ = ("name", "type", "shape")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    name: str
    type: str
    shape: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, name: _Optional[str] = ..., type: _Optional[str] = ..., shape: _Optional[_Iterable[int]] = ...) -> None: ...
