import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Performance(_message.Message):
    __slots__ = ("figures", "groups", "calibration", "drawdowns", "monthly_returns", "of_account", "start_time", "end_time", "truncated", "simulated", "currency")
    FIGURES_FIELD_NUMBER: _ClassVar[int]
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    CALIBRATION_FIELD_NUMBER: _ClassVar[int]
    DRAWDOWNS_FIELD_NUMBER: _ClassVar[int]
    MONTHLY_RETURNS_FIELD_NUMBER: _ClassVar[int]
    OF_ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    SIMULATED_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    figures: _containers.RepeatedCompositeFieldContainer[Figure]
    groups: _containers.RepeatedCompositeFieldContainer[PerformanceGroup]
    calibration: _containers.RepeatedCompositeFieldContainer[CalibrationBin]
    drawdowns: _containers.RepeatedCompositeFieldContainer[Drawdown]
    monthly_returns: _containers.RepeatedCompositeFieldContainer[MonthlyReturn]
    of_account: bool
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    truncated: bool
    simulated: bool
    currency: str
    def __init__(self, figures: _Optional[_Iterable[_Union[Figure, _Mapping]]] = ..., groups: _Optional[_Iterable[_Union[PerformanceGroup, _Mapping]]] = ..., calibration: _Optional[_Iterable[_Union[CalibrationBin, _Mapping]]] = ..., drawdowns: _Optional[_Iterable[_Union[Drawdown, _Mapping]]] = ..., monthly_returns: _Optional[_Iterable[_Union[MonthlyReturn, _Mapping]]] = ..., of_account: _Optional[bool] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., truncated: _Optional[bool] = ..., simulated: _Optional[bool] = ..., currency: _Optional[str] = ...) -> None: ...

class Figure(_message.Message):
    __slots__ = ("name", "value", "unit", "n", "low", "high")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    N_FIELD_NUMBER: _ClassVar[int]
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: float
    unit: str
    n: int
    low: float
    high: float
    def __init__(self, name: _Optional[str] = ..., value: _Optional[float] = ..., unit: _Optional[str] = ..., n: _Optional[int] = ..., low: _Optional[float] = ..., high: _Optional[float] = ...) -> None: ...

class PerformanceGroup(_message.Message):
    __slots__ = ("dimension", "key", "figures")
    class Dimension(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        DIMENSION_UNSPECIFIED: _ClassVar[PerformanceGroup.Dimension]
        SYMBOL: _ClassVar[PerformanceGroup.Dimension]
        MODEL_VERSION: _ClassVar[PerformanceGroup.Dimension]
        ACTION: _ClassVar[PerformanceGroup.Dimension]
        ORIGIN: _ClassVar[PerformanceGroup.Dimension]
        RESOLUTION: _ClassVar[PerformanceGroup.Dimension]
        CONFIDENCE: _ClassVar[PerformanceGroup.Dimension]
        HOUR: _ClassVar[PerformanceGroup.Dimension]
        WEEKDAY: _ClassVar[PerformanceGroup.Dimension]
        MONTH: _ClassVar[PerformanceGroup.Dimension]
    DIMENSION_UNSPECIFIED: PerformanceGroup.Dimension
    SYMBOL: PerformanceGroup.Dimension
    MODEL_VERSION: PerformanceGroup.Dimension
    ACTION: PerformanceGroup.Dimension
    ORIGIN: PerformanceGroup.Dimension
    RESOLUTION: PerformanceGroup.Dimension
    CONFIDENCE: PerformanceGroup.Dimension
    HOUR: PerformanceGroup.Dimension
    WEEKDAY: PerformanceGroup.Dimension
    MONTH: PerformanceGroup.Dimension
    DIMENSION_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    FIGURES_FIELD_NUMBER: _ClassVar[int]
    dimension: PerformanceGroup.Dimension
    key: str
    figures: _containers.RepeatedCompositeFieldContainer[Figure]
    def __init__(self, dimension: _Optional[_Union[PerformanceGroup.Dimension, str]] = ..., key: _Optional[str] = ..., figures: _Optional[_Iterable[_Union[Figure, _Mapping]]] = ...) -> None: ...

class CalibrationBin(_message.Message):
    __slots__ = ("low", "high", "n", "mean_win_probability", "win_rate", "win_rate_low", "win_rate_high")
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    N_FIELD_NUMBER: _ClassVar[int]
    MEAN_WIN_PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    WIN_RATE_FIELD_NUMBER: _ClassVar[int]
    WIN_RATE_LOW_FIELD_NUMBER: _ClassVar[int]
    WIN_RATE_HIGH_FIELD_NUMBER: _ClassVar[int]
    low: float
    high: float
    n: int
    mean_win_probability: float
    win_rate: float
    win_rate_low: float
    win_rate_high: float
    def __init__(self, low: _Optional[float] = ..., high: _Optional[float] = ..., n: _Optional[int] = ..., mean_win_probability: _Optional[float] = ..., win_rate: _Optional[float] = ..., win_rate_low: _Optional[float] = ..., win_rate_high: _Optional[float] = ...) -> None: ...

class Drawdown(_message.Message):
    __slots__ = ("peak_time", "trough_time", "recovery_time", "peak", "trough", "depth_pct")
    PEAK_TIME_FIELD_NUMBER: _ClassVar[int]
    TROUGH_TIME_FIELD_NUMBER: _ClassVar[int]
    RECOVERY_TIME_FIELD_NUMBER: _ClassVar[int]
    PEAK_FIELD_NUMBER: _ClassVar[int]
    TROUGH_FIELD_NUMBER: _ClassVar[int]
    DEPTH_PCT_FIELD_NUMBER: _ClassVar[int]
    peak_time: _timestamp_pb2.Timestamp
    trough_time: _timestamp_pb2.Timestamp
    recovery_time: _timestamp_pb2.Timestamp
    peak: float
    trough: float
    depth_pct: float
    def __init__(self, peak_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., trough_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., recovery_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., peak: _Optional[float] = ..., trough: _Optional[float] = ..., depth_pct: _Optional[float] = ...) -> None: ...

class MonthlyReturn(_message.Message):
    __slots__ = ("year", "month", "return_pct", "sessions")
    YEAR_FIELD_NUMBER: _ClassVar[int]
    MONTH_FIELD_NUMBER: _ClassVar[int]
    RETURN_PCT_FIELD_NUMBER: _ClassVar[int]
    SESSIONS_FIELD_NUMBER: _ClassVar[int]
    year: int
    month: int
    return_pct: float
    sessions: int
    def __init__(self, year: _Optional[int] = ..., month: _Optional[int] = ..., return_pct: _Optional[float] = ..., sessions: _Optional[int] = ...) -> None: ...
