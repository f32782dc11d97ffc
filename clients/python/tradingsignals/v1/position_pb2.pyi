import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from tradingsignals.v1 import signal_pb2 as _signal_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Position(_message.Message):
    __slots__ = ("position_id", "signal_id", "symbol", "action", "entry_time", "entry_price", "stop_loss", "take_profit", "position_size", "current_pnl", "current_pnl_pct", "status", "exit_time", "exit_price", "exit_reason", "exit_signal_id", "current_price", "current_pnl_account", "costs", "max_favorable_excursion", "max_adverse_excursion", "r_multiple", "initial_stop_loss", "bars_held", "sequence", "simulated")
    class Status(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATUS_UNSPECIFIED: _ClassVar[Position.Status]
        OPEN: _ClassVar[Position.Status]
        CLOSED: _ClassVar[Position.Status]
    STATUS_UNSPECIFIED: Position.Status
    OPEN: Position.Status
    CLOSED: Position.Status
    class ExitReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        EXIT_REASON_UNSPECIFIED: _ClassVar[Position.ExitReason]
        STOP_LOSS: _ClassVar[Position.ExitReason]
        TAKE_PROFIT: _ClassVar[Position.ExitReason]
        TRAILING_STOP: _ClassVar[Position.ExitReason]
        TIME_LIMIT: _ClassVar[Position.ExitReason]
        SESSION_END: _ClassVar[Position.ExitReason]
        REVERSED: _ClassVar[Position.ExitReason]
        MANUAL: _ClassVar[Position.ExitReason]
    EXIT_REASON_UNSPECIFIED: Position.ExitReason
    STOP_LOSS: Position.ExitReason
    TAKE_PROFIT: Position.ExitReason
    TRAILING_STOP: Position.ExitReason
    TIME_LIMIT: Position.ExitReason
    SESSION_END: Position.ExitReason
    REVERSED: Position.ExitReason
    MANUAL: Position.ExitReason
    POSITION_ID_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_ID_FIELD_NUMBER: _ClassVar[int]
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    ENTRY_TIME_FIELD_NUMBER: _ClassVar[int]
    ENTRY_PRICE_FIELD_NUMBER: _ClassVar[int]
    STOP_LOSS_FIELD_NUMBER: _ClassVar[int]
    TAKE_PROFIT_FIELD_NUMBER: _ClassVar[int]
    POSITION_SIZE_FIELD_NUMBER: _ClassVar[int]
    CURRENT_PNL_FIELD_NUMBER: _ClassVar[int]
    CURRENT_PNL_PCT_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    EXIT_TIME_FIELD_NUMBER: _ClassVar[int]
    EXIT_PRICE_FIELD_NUMBER: _ClassVar[int]
    EXIT_REASON_FIELD_NUMBER: _ClassVar[int]
    EXIT_SIGNAL_ID_FIELD_NUMBER: _ClassVar[int]
    CURRENT_PRICE_FIELD_NUMBER: _ClassVar[int]
    CURRENT_PNL_ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    COSTS_FIELD_NUMBER: _ClassVar[int]
    MAX_FAVORABLE_EXCURSION_FIELD_NUMBER: _ClassVar[int]
    MAX_ADVERSE_EXCURSION_FIELD_NUMBER: _ClassVar[int]
    R_MULTIPLE_FIELD_NUMBER: _ClassVar[int]
    INITIAL_STOP_LOSS_FIELD_NUMBER: _ClassVar[int]
    BARS_HELD_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    SIMULATED_FIELD_NUMBER: _ClassVar[int]
    position_id: str
    signal_id: str
    symbol: str
    action: _signal_pb2.Signal.Action
    entry_time: _timestamp_pb2.Timestamp
    entry_price: float
    stop_loss: float
    take_profit: float
    position_size: float
    current_pnl: float
    current_pnl_pct: float
    status: Position.Status
    exit_time: _timestamp_pb2.Timestamp
    exit_price: float
    exit_reason: Position.ExitReason
    exit_signal_id: str
    current_price: float
    current_pnl_account: float
    costs: float
    max_favorable_excursion: float
    max_adverse_excursion: float
    r_multiple: float
    initial_stop_loss: float
    bars_held: int
    sequence: int
    simulated: bool
    def __init__(self, position_id: _Optional[str] = ..., signal_id: _Optional[str] = ..., symbol: _Optional[str] = ..., action: _Optional[_Union[_signal_pb2.Signal.Action, str]] = ..., entry_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., entry_price: _Optional[float] = ..., stop_loss: _Optional[float] = ..., take_profit: _Optional[float] = ..., position_size: _Optional[float] = ..., current_pnl: _Optional[float] = ..., current_pnl_pct: _Optional[float] = ..., status: _Optional[_Union[Position.Status, str]] = ..., exit_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., exit_price: _Optional[float] = ..., exit_reason: _Optional[_Union[Position.ExitReason, str]] = ..., exit_signal_id: _Optional[str] = ..., current_price: _Optional[float] = ..., current_pnl_account: _Optional[float] = ..., costs: _Optional[float] = ..., max_favorable_excursion: _Optional[float] = ..., max_adverse_excursion: _Optional[float] = ..., r_multiple: _Optional[float] = ..., initial_stop_loss: _Optional[float] = ..., bars_held: _Optional[int] = ..., sequence: _Optional[int] = ..., simulated: _Optional[bool] = ...) -> None: ...
