import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Account(_message.Message):
    __slots__ = ("currency", "initial_equity", "equity", "realised_pnl", "unrealised_pnl", "exposure", "open_positions", "closed_positions", "peak_equity", "drawdown", "drawdown_pct", "day", "day_start_equity", "day_pnl", "as_of", "trading_halted", "halt_reason", "halted_by", "halted_at", "halted_by_setting")
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    INITIAL_EQUITY_FIELD_NUMBER: _ClassVar[int]
    EQUITY_FIELD_NUMBER: _ClassVar[int]
    REALISED_PNL_FIELD_NUMBER: _ClassVar[int]
    UNREALISED_PNL_FIELD_NUMBER: _ClassVar[int]
    EXPOSURE_FIELD_NUMBER: _ClassVar[int]
    OPEN_POSITIONS_FIELD_NUMBER: _ClassVar[int]
    CLOSED_POSITIONS_FIELD_NUMBER: _ClassVar[int]
    PEAK_EQUITY_FIELD_NUMBER: _ClassVar[int]
    DRAWDOWN_FIELD_NUMBER: _ClassVar[int]
    DRAWDOWN_PCT_FIELD_NUMBER: _ClassVar[int]
    DAY_FIELD_NUMBER: _ClassVar[int]
    DAY_START_EQUITY_FIELD_NUMBER: _ClassVar[int]
    DAY_PNL_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    TRADING_HALTED_FIELD_NUMBER: _ClassVar[int]
    HALT_REASON_FIELD_NUMBER: _ClassVar[int]
    HALTED_BY_FIELD_NUMBER: _ClassVar[int]
    HALTED_AT_FIELD_NUMBER: _ClassVar[int]
    HALTED_BY_SETTING_FIELD_NUMBER: _ClassVar[int]
    currency: str
    initial_equity: float
    equity: float
    realised_pnl: float
    unrealised_pnl: float
    exposure: float
    open_positions: int
    closed_positions: int
    peak_equity: float
    drawdown: float
    drawdown_pct: float
    day: str
    day_start_equity: float
    day_pnl: float
    as_of: _timestamp_pb2.Timestamp
    trading_halted: bool
    halt_reason: str
    halted_by: str
    halted_at: _timestamp_pb2.Timestamp
    halted_by_setting: bool
    def __init__(self, currency: _Optional[str] = ..., initial_equity: _Optional[float] = ..., equity: _Optional[float] = ..., realised_pnl: _Optional[float] = ..., unrealised_pnl: _Optional[float] = ..., exposure: _Optional[float] = ..., open_positions: _Optional[int] = ..., closed_positions: _Optional[int] = ..., peak_equity: _Optional[float] = ..., drawdown: _Optional[float] = ..., drawdown_pct: _Optional[float] = ..., day: _Optional[str] = ..., day_start_equity: _Optional[float] = ..., day_pnl: _Optional[float] = ..., as_of: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., trading_halted: _Optional[bool] = ..., halt_reason: _Optional[str] = ..., halted_by: _Optional[str] = ..., halted_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., halted_by_setting: _Optional[bool] = ...) -> None: ...

class Protection(_message.Message):
    __slots__ = ("name", "unit", "limit", "value", "reached", "until", "reason")
    class Unit(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        UNIT_UNSPECIFIED: _ClassVar[Protection.Unit]
        FRACTION: _ClassVar[Protection.Unit]
        COUNT: _ClassVar[Protection.Unit]
        SWITCH: _ClassVar[Protection.Unit]
    UNIT_UNSPECIFIED: Protection.Unit
    FRACTION: Protection.Unit
    COUNT: Protection.Unit
    SWITCH: Protection.Unit
    NAME_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    REACHED_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    name: str
    unit: Protection.Unit
    limit: float
    value: float
    reached: bool
    until: _timestamp_pb2.Timestamp
    reason: str
    def __init__(self, name: _Optional[str] = ..., unit: _Optional[_Union[Protection.Unit, str]] = ..., limit: _Optional[float] = ..., value: _Optional[float] = ..., reached: _Optional[bool] = ..., until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., reason: _Optional[str] = ...) -> None: ...

class Trading(_message.Message):
    __slots__ = ("halted", "reason", "by", "halted_at", "halted_by_setting")
    HALTED_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    HALTED_AT_FIELD_NUMBER: _ClassVar[int]
    HALTED_BY_SETTING_FIELD_NUMBER: _ClassVar[int]
    halted: bool
    reason: str
    by: str
    halted_at: _timestamp_pb2.Timestamp
    halted_by_setting: bool
    def __init__(self, halted: _Optional[bool] = ..., reason: _Optional[str] = ..., by: _Optional[str] = ..., halted_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., halted_by_setting: _Optional[bool] = ...) -> None: ...

class EquityPoint(_message.Message):
    __slots__ = ("time", "session_day", "equity", "realised_pnl", "unrealised_pnl", "exposure", "open_positions", "drawdown", "drawdown_pct")
    TIME_FIELD_NUMBER: _ClassVar[int]
    SESSION_DAY_FIELD_NUMBER: _ClassVar[int]
    EQUITY_FIELD_NUMBER: _ClassVar[int]
    REALISED_PNL_FIELD_NUMBER: _ClassVar[int]
    UNREALISED_PNL_FIELD_NUMBER: _ClassVar[int]
    EXPOSURE_FIELD_NUMBER: _ClassVar[int]
    OPEN_POSITIONS_FIELD_NUMBER: _ClassVar[int]
    DRAWDOWN_FIELD_NUMBER: _ClassVar[int]
    DRAWDOWN_PCT_FIELD_NUMBER: _ClassVar[int]
    time: _timestamp_pb2.Timestamp
    session_day: str
    equity: float
    realised_pnl: float
    unrealised_pnl: float
    exposure: float
    open_positions: int
    drawdown: float
    drawdown_pct: float
    def __init__(self, time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., session_day: _Optional[str] = ..., equity: _Optional[float] = ..., realised_pnl: _Optional[float] = ..., unrealised_pnl: _Optional[float] = ..., exposure: _Optional[float] = ..., open_positions: _Optional[int] = ..., drawdown: _Optional[float] = ..., drawdown_pct: _Optional[float] = ...) -> None: ...
