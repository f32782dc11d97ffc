import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from tradingsignals.v1 import signal_pb2 as _signal_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Outcome(_message.Message):
    __slots__ = ("outcome_id", "signal_id", "symbol", "action", "model_version", "model_key", "shadow", "acted", "simulated", "origin", "confidence", "win_probability", "position_size", "fill", "entry_time", "entry_price", "stop_loss", "take_profit", "exit_time", "exit_price", "resolution", "r_multiple", "gross_pct", "net_pct", "pnl_account", "mfe_r", "mae_r", "bars_held", "seconds_to_resolve", "rules_version")
    class Fill(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        FILL_UNSPECIFIED: _ClassVar[Outcome.Fill]
        CLOSE: _ClassVar[Outcome.Fill]
        NEXT_OPEN: _ClassVar[Outcome.Fill]
    FILL_UNSPECIFIED: Outcome.Fill
    CLOSE: Outcome.Fill
    NEXT_OPEN: Outcome.Fill
    class Resolution(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        RESOLUTION_UNSPECIFIED: _ClassVar[Outcome.Resolution]
        TARGET: _ClassVar[Outcome.Resolution]
        STOP: _ClassVar[Outcome.Resolution]
        TRAILING: _ClassVar[Outcome.Resolution]
        REVERSED: _ClassVar[Outcome.Resolution]
        TIME_LIMIT: _ClassVar[Outcome.Resolution]
        SESSION_END: _ClassVar[Outcome.Resolution]
        MANUAL: _ClassVar[Outcome.Resolution]
        EXPIRED: _ClassVar[Outcome.Resolution]
    RESOLUTION_UNSPECIFIED: Outcome.Resolution
    TARGET: Outcome.Resolution
    STOP: Outcome.Resolution
    TRAILING: Outcome.Resolution
    REVERSED: Outcome.Resolution
    TIME_LIMIT: Outcome.Resolution
    SESSION_END: Outcome.Resolution
    MANUAL: Outcome.Resolution
    EXPIRED: Outcome.Resolution
    OUTCOME_ID_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_ID_FIELD_NUMBER: _ClassVar[int]
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    MODEL_KEY_FIELD_NUMBER: _ClassVar[int]
    SHADOW_FIELD_NUMBER: _ClassVar[int]
    ACTED_FIELD_NUMBER: _ClassVar[int]
    SIMULATED_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    WIN_PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    POSITION_SIZE_FIELD_NUMBER: _ClassVar[int]
    FILL_FIELD_NUMBER: _ClassVar[int]
    ENTRY_TIME_FIELD_NUMBER: _ClassVar[int]
    ENTRY_PRICE_FIELD_NUMBER: _ClassVar[int]
    STOP_LOSS_FIELD_NUMBER: _ClassVar[int]
    TAKE_PROFIT_FIELD_NUMBER: _ClassVar[int]
    EXIT_TIME_FIELD_NUMBER: _ClassVar[int]
    EXIT_PRICE_FIELD_NUMBER: _ClassVar[int]
    RESOLUTION_FIELD_NUMBER: _ClassVar[int]
    R_MULTIPLE_FIELD_NUMBER: _ClassVar[int]
    GROSS_PCT_FIELD_NUMBER: _ClassVar[int]
    NET_PCT_FIELD_NUMBER: _ClassVar[int]
    PNL_ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    MFE_R_FIELD_NUMBER: _ClassVar[int]
    MAE_R_FIELD_NUMBER: _ClassVar[int]
    BARS_HELD_FIELD_NUMBER: _ClassVar[int]
    SECONDS_TO_RESOLVE_FIELD_NUMBER: _ClassVar[int]
    RULES_VERSION_FIELD_NUMBER: _ClassVar[int]
    outcome_id: str
    signal_id: str
    symbol: str
    action: _signal_pb2.Signal.Action
    model_version: str
    model_key: str
    shadow: bool
    acted: bool
    simulated: bool
    origin: _signal_pb2.Signal.Origin
    confidence: float
    win_probability: float
    position_size: float
    fill: Outcome.Fill
    entry_time: _timestamp_pb2.Timestamp
    entry_price: float
    stop_loss: float
    take_profit: float
    exit_time: _timestamp_pb2.Timestamp
    exit_price: float
    resolution: Outcome.Resolution
    r_multiple: float
    gross_pct: float
    net_pct: float
    pnl_account: float
    mfe_r: float
    mae_r: float
    bars_held: int
    seconds_to_resolve: float
    rules_version: int
    def __init__(self, outcome_id: _Optional[str] = ..., signal_id: _Optional[str] = ..., symbol: _Optional[str] = ..., action: _Optional[_Union[_signal_pb2.Signal.Action, str]] = ..., model_version: _Optional[str] = ..., model_key: _Optional[str] = ..., shadow: _Optional[bool] = ..., acted: _Optional[bool] = ..., simulated: _Optional[bool] = ..., origin: _Optional[_Union[_signal_pb2.Signal.Origin, str]] = ..., confidence: _Optional[float] = ..., win_probability: _Optional[float] = ..., position_size: _Optional[float] = ..., fill: _Optional[_Union[Outcome.Fill, str]] = ..., entry_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., entry_price: _Optional[float] = ..., stop_loss: _Optional[float] = ..., take_profit: _Optional[float] = ..., exit_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., exit_price: _Optional[float] = ..., resolution: _Optional[_Union[Outcome.Resolution, str]] = ..., r_multiple: _Optional[float] = ..., gross_pct: _Optional[float] = ..., net_pct: _Optional[float] = ..., pnl_account: _Optional[float] = ..., mfe_r: _Optional[float] = ..., mae_r: _Optional[float] = ..., bars_held: _Optional[int] = ..., seconds_to_resolve: _Optional[float] = ..., rules_version: _Optional[int] = ...) -> None: ...
