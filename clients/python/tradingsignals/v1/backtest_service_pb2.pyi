from google.api import annotations_pb2 as _annotations_pb2
from tradingsignals.v1 import backtest_pb2 as _backtest_pb2
from tradingsignals.v1 import bar_pb2 as _bar_pb2
from tradingsignals.v1 import event_pb2 as _event_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RunBacktestRequest(_message.Message):
    __slots__ = ("symbols", "start_date", "end_date", "bars", "model_version", "settings", "compare", "seed")
    SYMBOLS_FIELD_NUMBER: _ClassVar[int]
    START_DATE_FIELD_NUMBER: _ClassVar[int]
    END_DATE_FIELD_NUMBER: _ClassVar[int]
    BARS_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    COMPARE_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    symbols: _containers.RepeatedScalarFieldContainer[str]
    start_date: str
    end_date: str
    bars: _containers.RepeatedCompositeFieldContainer[_bar_pb2.Bar]
    model_version: str
    settings: _containers.RepeatedScalarFieldContainer[str]
    compare: bool
    seed: int
    def __init__(self, symbols: _Optional[_Iterable[str]] = ..., start_date: _Optional[str] = ..., end_date: _Optional[str] = ..., bars: _Optional[_Iterable[_Union[_bar_pb2.Bar, _Mapping]]] = ..., model_version: _Optional[str] = ..., settings: _Optional[_Iterable[str]] = ..., compare: _Optional[bool] = ..., seed: _Optional[int] = ...) -> None: ...

class RunBacktestResponse(_message.Message):
    __slots__ = ("progress", "positions", "equity", "result", "error")
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    POSITIONS_FIELD_NUMBER: _ClassVar[int]
    EQUITY_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    progress: _backtest_pb2.BacktestProgress
    positions: _backtest_pb2.BacktestPositions
    equity: _backtest_pb2.BacktestEquity
    result: _backtest_pb2.BacktestResult
    error: _event_pb2.StreamError
    def __init__(self, progress: _Optional[_Union[_backtest_pb2.BacktestProgress, _Mapping]] = ..., positions: _Optional[_Union[_backtest_pb2.BacktestPositions, _Mapping]] = ..., equity: _Optional[_Union[_backtest_pb2.BacktestEquity, _Mapping]] = ..., result: _Optional[_Union[_backtest_pb2.BacktestResult, _Mapping]] = ..., error: _Optional[_Union[_event_pb2.StreamError, _Mapping]] = ...) -> None: ...
