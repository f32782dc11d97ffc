import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Signal(_message.Message):
    __slots__ = ("signal_id", "timestamp", "symbol", "action", "confidence", "entry_price", "stop_loss", "take_profit", "position_size", "risk_reward_ratio", "model_version", "reasoning", "latency_ms", "model_type", "technical_factors", "market_regime", "trend_direction", "bar_time", "sequence", "simulated", "probabilities", "origin", "model_failed", "bar_age_seconds", "win_probability", "win_probability_cases", "valid_until")
    class Action(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        ACTION_UNSPECIFIED: _ClassVar[Signal.Action]
        BUY: _ClassVar[Signal.Action]
        SELL: _ClassVar[Signal.Action]
        HOLD: _ClassVar[Signal.Action]
    ACTION_UNSPECIFIED: Signal.Action
    BUY: Signal.Action
    SELL: Signal.Action
    HOLD: Signal.Action
    class Origin(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        ORIGIN_UNSPECIFIED: _ClassVar[Signal.Origin]
        BAR: _ClassVar[Signal.Origin]
        REQUEST: _ClassVar[Signal.Origin]
        DATABASE: _ClassVar[Signal.Origin]
    ORIGIN_UNSPECIFIED: Signal.Origin
    BAR: Signal.Origin
    REQUEST: Signal.Origin
    DATABASE: Signal.Origin
    class MarketRegime(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        MARKET_REGIME_UNSPECIFIED: _ClassVar[Signal.MarketRegime]
        TRENDING: _ClassVar[Signal.MarketRegime]
        RANGING: _ClassVar[Signal.MarketRegime]
        VOLATILE: _ClassVar[Signal.MarketRegime]
    MARKET_REGIME_UNSPECIFIED: Signal.MarketRegime
    TRENDING: Signal.MarketRegime
    RANGING: Signal.MarketRegime
    VOLATILE: Signal.MarketRegime
    class TrendDirection(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        TREND_DIRECTION_UNSPECIFIED: _ClassVar[Signal.TrendDirection]
        UP: _ClassVar[Signal.TrendDirection]
        DOWN: _ClassVar[Signal.TrendDirection]
        SIDEWAYS: _ClassVar[Signal.TrendDirection]
    TREND_DIRECTION_UNSPECIFIED: Signal.TrendDirection
    UP: Signal.TrendDirection
    DOWN: Signal.TrendDirection
    SIDEWAYS: Signal.TrendDirection
    SIGNAL_ID_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    ENTRY_PRICE_FIELD_NUMBER: _ClassVar[int]
    STOP_LOSS_FIELD_NUMBER: _ClassVar[int]
    TAKE_PROFIT_FIELD_NUMBER: _ClassVar[int]
    POSITION_SIZE_FIELD_NUMBER: _ClassVar[int]
    RISK_REWARD_RATIO_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    REASONING_FIELD_NUMBER: _ClassVar[int]
    LATENCY_MS_FIELD_NUMBER: _ClassVar[int]
    MODEL_TYPE_FIELD_NUMBER: _ClassVar[int]
    TECHNICAL_FACTORS_FIELD_NUMBER: _ClassVar[int]
    MARKET_REGIME_FIELD_NUMBER: _ClassVar[int]
    TREND_DIRECTION_FIELD_NUMBER: _ClassVar[int]
    BAR_TIME_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    SIMULATED_FIELD_NUMBER: _ClassVar[int]
    PROBABILITIES_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    MODEL_FAILED_FIELD_NUMBER: _ClassVar[int]
    BAR_AGE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    WIN_PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    WIN_PROBABILITY_CASES_FIELD_NUMBER: _ClassVar[int]
    VALID_UNTIL_FIELD_NUMBER: _ClassVar[int]
    signal_id: str
    timestamp: _timestamp_pb2.Timestamp
    symbol: str
    action: Signal.Action
    confidence: float
    entry_price: float
    stop_loss: float
    take_profit: float
    position_size: float
    risk_reward_ratio: float
    model_version: str
    reasoning: _containers.RepeatedScalarFieldContainer[str]
    latency_ms: float
    model_type: str
    technical_factors: TechnicalFactors
    market_regime: Signal.MarketRegime
    trend_direction: Signal.TrendDirection
    bar_time: _timestamp_pb2.Timestamp
    sequence: int
    simulated: bool
    probabilities: ActionProbabilities
    origin: Signal.Origin
    model_failed: bool
    bar_age_seconds: float
    win_probability: float
    win_probability_cases: int
    valid_until: _timestamp_pb2.Timestamp
    def __init__(self, signal_id: _Optional[str] = ..., timestamp: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., symbol: _Optional[str] = ..., action: _Optional[_Union[Signal.Action, str]] = ..., confidence: _Optional[float] = ..., entry_price: _Optional[float] = ..., stop_loss: _Optional[float] = ..., take_profit: _Optional[float] = ..., position_size: _Optional[float] = ..., risk_reward_ratio: _Optional[float] = ..., model_version: _Optional[str] = ..., reasoning: _Optional[_Iterable[str]] = ..., latency_ms: _Optional[float] = ..., model_type: _Optional[str] = ..., technical_factors: _Optional[_Union[TechnicalFactors, _Mapping]] = ..., market_regime: _Optional[_Union[Signal.MarketRegime, str]] = ..., trend_direction: _Optional[_Union[Signal.TrendDirection, str]] = ..., bar_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., sequence: _Optional[int] = ..., simulated: _Optional[bool] = ..., probabilities: _Optional[_Union[ActionProbabilities, _Mapping]] = ..., origin: _Optional[_Union[Signal.Origin, str]] = ..., model_failed: _Optional[bool] = ..., bar_age_seconds: _Optional[float] = ..., win_probability: _Optional[float] = ..., win_probability_cases: _Optional[int] = ..., valid_until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ActionProbabilities(_message.Message):
    __slots__ = ("hold", "buy", "sell")
    HOLD_FIELD_NUMBER: _ClassVar[int]
    BUY_FIELD_NUMBER: _ClassVar[int]
    SELL_FIELD_NUMBER: _ClassVar[int]
    hold: float
    buy: float
    sell: float
    def __init__(self, hold: _Optional[float] = ..., buy: _Optional[float] = ..., sell: _Optional[float] = ...) -> None: ...

class TechnicalFactors(_message.Message):
    __slots__ = ("rsi", "macd", "macd_signal", "macd_histogram", "bb_upper", "bb_middle", "bb_lower", "ema_20", "ema_50", "atr", "volatility")
    RSI_FIELD_NUMBER: _ClassVar[int]
    MACD_FIELD_NUMBER: _ClassVar[int]
    MACD_SIGNAL_FIELD_NUMBER: _ClassVar[int]
    MACD_HISTOGRAM_FIELD_NUMBER: _ClassVar[int]
    BB_UPPER_FIELD_NUMBER: _ClassVar[int]
    BB_MIDDLE_FIELD_NUMBER: _ClassVar[int]
    BB_LOWER_FIELD_NUMBER: _ClassVar[int]
    EMA_20_FIELD_NUMBER: _ClassVar[int]
    EMA_50_FIELD_NUMBER: _ClassVar[int]
    ATR_FIELD_NUMBER: _ClassVar[int]
    VOLATILITY_FIELD_NUMBER: _ClassVar[int]
    rsi: float
    macd: float
    macd_signal: float
    macd_histogram: float
    bb_upper: float
    bb_middle: float
    bb_lower: float
    ema_20: float
    ema_50: float
    atr: float
    volatility: float
    def __init__(self, rsi: _Optional[float] = ..., macd: _Optional[float] = ..., macd_signal: _Optional[float] = ..., macd_histogram: _Optional[float] = ..., bb_upper: _Optional[float] = ..., bb_middle: _Optional[float] = ..., bb_lower: _Optional[float] = ..., ema_20: _Optional[float] = ..., ema_50: _Optional[float] = ..., atr: _Optional[float] = ..., volatility: _Optional[float] = ...) -> None: ...
