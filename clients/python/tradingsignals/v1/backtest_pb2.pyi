import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from tradingsignals.v1 import position_pb2 as _position_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class BacktestProgress(_message.Message):
    __slots__ = ("bars", "total_bars", "through", "closed_positions", "equity")
    BARS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_BARS_FIELD_NUMBER: _ClassVar[int]
    THROUGH_FIELD_NUMBER: _ClassVar[int]
    CLOSED_POSITIONS_FIELD_NUMBER: _ClassVar[int]
    EQUITY_FIELD_NUMBER: _ClassVar[int]
    bars: int
    total_bars: int
    through: _timestamp_pb2.Timestamp
    closed_positions: int
    equity: float
    def __init__(self, bars: _Optional[int] = ..., total_bars: _Optional[int] = ..., through: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., closed_positions: _Optional[int] = ..., equity: _Optional[float] = ...) -> None: ...

class BacktestPositions(_message.Message):
    __slots__ = ("positions",)
    POSITIONS_FIELD_NUMBER: _ClassVar[int]
    positions: _containers.RepeatedCompositeFieldContainer[_position_pb2.Position]
    def __init__(self, positions: _Optional[_Iterable[_Union[_position_pb2.Position, _Mapping]]] = ...) -> None: ...

class BacktestEquity(_message.Message):
    __slots__ = ("points",)
    POINTS_FIELD_NUMBER: _ClassVar[int]
    points: _containers.RepeatedCompositeFieldContainer[BacktestEquityPoint]
    def __init__(self, points: _Optional[_Iterable[_Union[BacktestEquityPoint, _Mapping]]] = ...) -> None: ...

class BacktestEquityPoint(_message.Message):
    __slots__ = ("time", "equity", "exposure")
    TIME_FIELD_NUMBER: _ClassVar[int]
    EQUITY_FIELD_NUMBER: _ClassVar[int]
    EXPOSURE_FIELD_NUMBER: _ClassVar[int]
    time: _timestamp_pb2.Timestamp
    equity: float
    exposure: float
    def __init__(self, time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., equity: _Optional[float] = ..., exposure: _Optional[float] = ...) -> None: ...

class BacktestResult(_message.Message):
    __slots__ = ("facts", "bars", "buy_signals", "sell_signals", "hold_signals", "figures", "comparisons", "rejections", "open_positions", "seconds", "left_out")
    FACTS_FIELD_NUMBER: _ClassVar[int]
    BARS_FIELD_NUMBER: _ClassVar[int]
    BUY_SIGNALS_FIELD_NUMBER: _ClassVar[int]
    SELL_SIGNALS_FIELD_NUMBER: _ClassVar[int]
    HOLD_SIGNALS_FIELD_NUMBER: _ClassVar[int]
    FIGURES_FIELD_NUMBER: _ClassVar[int]
    COMPARISONS_FIELD_NUMBER: _ClassVar[int]
    REJECTIONS_FIELD_NUMBER: _ClassVar[int]
    OPEN_POSITIONS_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    LEFT_OUT_FIELD_NUMBER: _ClassVar[int]
    facts: BacktestFacts
    bars: BacktestBars
    buy_signals: int
    sell_signals: int
    hold_signals: int
    figures: _containers.RepeatedCompositeFieldContainer[BacktestFigure]
    comparisons: _containers.RepeatedCompositeFieldContainer[BacktestComparison]
    rejections: _containers.RepeatedCompositeFieldContainer[BacktestRejection]
    open_positions: _containers.RepeatedCompositeFieldContainer[_position_pb2.Position]
    seconds: float
    left_out: int
    def __init__(self, facts: _Optional[_Union[BacktestFacts, _Mapping]] = ..., bars: _Optional[_Union[BacktestBars, _Mapping]] = ..., buy_signals: _Optional[int] = ..., sell_signals: _Optional[int] = ..., hold_signals: _Optional[int] = ..., figures: _Optional[_Iterable[_Union[BacktestFigure, _Mapping]]] = ..., comparisons: _Optional[_Iterable[_Union[BacktestComparison, _Mapping]]] = ..., rejections: _Optional[_Iterable[_Union[BacktestRejection, _Mapping]]] = ..., open_positions: _Optional[_Iterable[_Union[_position_pb2.Position, _Mapping]]] = ..., seconds: _Optional[float] = ..., left_out: _Optional[int] = ...) -> None: ...

class BacktestFacts(_message.Message):
    __slots__ = ("symbols", "first_bar", "last_bar", "warm_up_bars", "bars_sha256", "model_version", "model_sha256", "settings", "settings_sha256")
    SYMBOLS_FIELD_NUMBER: _ClassVar[int]
    FIRST_BAR_FIELD_NUMBER: _ClassVar[int]
    LAST_BAR_FIELD_NUMBER: _ClassVar[int]
    WARM_UP_BARS_FIELD_NUMBER: _ClassVar[int]
    BARS_SHA256_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    MODEL_SHA256_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_SHA256_FIELD_NUMBER: _ClassVar[int]
    symbols: _containers.RepeatedScalarFieldContainer[str]
    first_bar: _timestamp_pb2.Timestamp
    last_bar: _timestamp_pb2.Timestamp
    warm_up_bars: int
    bars_sha256: str
    model_version: str
    model_sha256: str
    settings: _containers.RepeatedScalarFieldContainer[str]
    settings_sha256: str
    def __init__(self, symbols: _Optional[_Iterable[str]] = ..., first_bar: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_bar: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., warm_up_bars: _Optional[int] = ..., bars_sha256: _Optional[str] = ..., model_version: _Optional[str] = ..., model_sha256: _Optional[str] = ..., settings: _Optional[_Iterable[str]] = ..., settings_sha256: _Optional[str] = ...) -> None: ...

class BacktestBars(_message.Message):
    __slots__ = ("accepted", "warming_up", "outside_session", "other_interval", "duplicates", "refused")
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    WARMING_UP_FIELD_NUMBER: _ClassVar[int]
    OUTSIDE_SESSION_FIELD_NUMBER: _ClassVar[int]
    OTHER_INTERVAL_FIELD_NUMBER: _ClassVar[int]
    DUPLICATES_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    accepted: int
    warming_up: int
    outside_session: int
    other_interval: int
    duplicates: int
    refused: int
    def __init__(self, accepted: _Optional[int] = ..., warming_up: _Optional[int] = ..., outside_session: _Optional[int] = ..., other_interval: _Optional[int] = ..., duplicates: _Optional[int] = ..., refused: _Optional[int] = ...) -> None: ...

class BacktestFigure(_message.Message):
    __slots__ = ("name", "value", "n", "low", "high")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    N_FIELD_NUMBER: _ClassVar[int]
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: float
    n: int
    low: float
    high: float
    def __init__(self, name: _Optional[str] = ..., value: _Optional[float] = ..., n: _Optional[int] = ..., low: _Optional[float] = ..., high: _Optional[float] = ...) -> None: ...

class BacktestComparison(_message.Message):
    __slots__ = ("name", "definition", "figures")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DEFINITION_FIELD_NUMBER: _ClassVar[int]
    FIGURES_FIELD_NUMBER: _ClassVar[int]
    name: str
    definition: str
    figures: _containers.RepeatedCompositeFieldContainer[BacktestFigure]
    def __init__(self, name: _Optional[str] = ..., definition: _Optional[str] = ..., figures: _Optional[_Iterable[_Union[BacktestFigure, _Mapping]]] = ...) -> None: ...

class BacktestRejection(_message.Message):
    __slots__ = ("rule", "count", "example")
    RULE_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    EXAMPLE_FIELD_NUMBER: _ClassVar[int]
    rule: str
    count: int
    example: str
    def __init__(self, rule: _Optional[str] = ..., count: _Optional[int] = ..., example: _Optional[str] = ...) -> None: ...
