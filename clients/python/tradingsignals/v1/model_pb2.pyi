import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Model(_message.Message):
    __slots__ = ("loaded", "version", "mode", "providers", "inputs", "outputs", "inference_count", "avg_latency_ms", "type", "file_sha256", "feature_specification", "feature_names", "lookback_bars", "name", "recurrent_reset", "recurrent_layers", "recurrent_size", "training_start", "training_end", "git_revision", "failure_count", "p50_latency_ms", "p99_latency_ms", "available_versions", "win_calibration", "interval_seconds", "actions", "output", "feature_expressions", "frame_stack", "observation_size")
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
    NAME_FIELD_NUMBER: _ClassVar[int]
    RECURRENT_RESET_FIELD_NUMBER: _ClassVar[int]
    RECURRENT_LAYERS_FIELD_NUMBER: _ClassVar[int]
    RECURRENT_SIZE_FIELD_NUMBER: _ClassVar[int]
    TRAINING_START_FIELD_NUMBER: _ClassVar[int]
    TRAINING_END_FIELD_NUMBER: _ClassVar[int]
    GIT_REVISION_FIELD_NUMBER: _ClassVar[int]
    FAILURE_COUNT_FIELD_NUMBER: _ClassVar[int]
    P50_LATENCY_MS_FIELD_NUMBER: _ClassVar[int]
    P99_LATENCY_MS_FIELD_NUMBER: _ClassVar[int]
    AVAILABLE_VERSIONS_FIELD_NUMBER: _ClassVar[int]
    WIN_CALIBRATION_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_SECONDS_FIELD_NUMBER: _ClassVar[int]
    ACTIONS_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    FEATURE_EXPRESSIONS_FIELD_NUMBER: _ClassVar[int]
    FRAME_STACK_FIELD_NUMBER: _ClassVar[int]
    OBSERVATION_SIZE_FIELD_NUMBER: _ClassVar[int]
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
    name: str
    recurrent_reset: str
    recurrent_layers: int
    recurrent_size: int
    training_start: _timestamp_pb2.Timestamp
    training_end: _timestamp_pb2.Timestamp
    git_revision: str
    failure_count: int
    p50_latency_ms: float
    p99_latency_ms: float
    available_versions: _containers.RepeatedScalarFieldContainer[str]
    win_calibration: WinCalibration
    interval_seconds: int
    actions: _containers.RepeatedScalarFieldContainer[str]
    output: str
    feature_expressions: _containers.RepeatedScalarFieldContainer[str]
    frame_stack: int
    observation_size: int
    def __init__(self, loaded: _Optional[bool] = ..., version: _Optional[str] = ..., mode: _Optional[str] = ..., providers: _Optional[_Iterable[str]] = ..., inputs: _Optional[_Iterable[_Union[Tensor, _Mapping]]] = ..., outputs: _Optional[_Iterable[_Union[Tensor, _Mapping]]] = ..., inference_count: _Optional[int] = ..., avg_latency_ms: _Optional[float] = ..., type: _Optional[str] = ..., file_sha256: _Optional[str] = ..., feature_specification: _Optional[str] = ..., feature_names: _Optional[_Iterable[str]] = ..., lookback_bars: _Optional[int] = ..., name: _Optional[str] = ..., recurrent_reset: _Optional[str] = ..., recurrent_layers: _Optional[int] = ..., recurrent_size: _Optional[int] = ..., training_start: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., training_end: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., git_revision: _Optional[str] = ..., failure_count: _Optional[int] = ..., p50_latency_ms: _Optional[float] = ..., p99_latency_ms: _Optional[float] = ..., available_versions: _Optional[_Iterable[str]] = ..., win_calibration: _Optional[_Union[WinCalibration, _Mapping]] = ..., interval_seconds: _Optional[int] = ..., actions: _Optional[_Iterable[str]] = ..., output: _Optional[str] = ..., feature_expressions: _Optional[_Iterable[str]] = ..., frame_stack: _Optional[int] = ..., observation_size: _Optional[int] = ...) -> None: ...

class WinCalibration(_message.Message):
    __slots__ = ("start", "end", "buy_cases", "sell_cases")
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    BUY_CASES_FIELD_NUMBER: _ClassVar[int]
    SELL_CASES_FIELD_NUMBER: _ClassVar[int]
    start: _timestamp_pb2.Timestamp
    end: _timestamp_pb2.Timestamp
    buy_cases: int
    sell_cases: int
    def __init__(self, start: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., buy_cases: _Optional[int] = ..., sell_cases: _Optional[int] = ...) -> None: ...

class Shadow(_message.Message):
    __slots__ = ("model", "decisions", "agreement_pct", "positions_closed", "win_rate", "total_pnl")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    DECISIONS_FIELD_NUMBER: _ClassVar[int]
    AGREEMENT_PCT_FIELD_NUMBER: _ClassVar[int]
    POSITIONS_CLOSED_FIELD_NUMBER: _ClassVar[int]
    WIN_RATE_FIELD_NUMBER: _ClassVar[int]
    TOTAL_PNL_FIELD_NUMBER: _ClassVar[int]
    model: Model
    decisions: int
    agreement_pct: float
    positions_closed: int
    win_rate: float
    total_pnl: float
    def __init__(self, model: _Optional[_Union[Model, _Mapping]] = ..., decisions: _Optional[int] = ..., agreement_pct: _Optional[float] = ..., positions_closed: _Optional[int] = ..., win_rate: _Optional[float] = ..., total_pnl: _Optional[float] = ...) -> None: ...

class Tensor(_message.Message):
    __slots__ = ("name", "type", "shape")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    name: str
    type: str
    shape: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, name: _Optional[str] = ..., type: _Optional[str] = ..., shape: _Optional[_Iterable[int]] = ...) -> None: ...
