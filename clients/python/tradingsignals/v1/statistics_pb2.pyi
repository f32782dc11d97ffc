from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Statistics(_message.Message):
    __slots__ = ("inference", "signals", "positions", "market_data")
    INFERENCE_FIELD_NUMBER: _ClassVar[int]
    SIGNALS_FIELD_NUMBER: _ClassVar[int]
    POSITIONS_FIELD_NUMBER: _ClassVar[int]
    MARKET_DATA_FIELD_NUMBER: _ClassVar[int]
    inference: InferenceStatistics
    signals: SignalStatistics
    positions: PositionStatistics
    market_data: MarketDataStatistics
    def __init__(self, inference: _Optional[_Union[InferenceStatistics, _Mapping]] = ..., signals: _Optional[_Union[SignalStatistics, _Mapping]] = ..., positions: _Optional[_Union[PositionStatistics, _Mapping]] = ..., market_data: _Optional[_Union[MarketDataStatistics, _Mapping]] = ...) -> None: ...

class InferenceStatistics(_message.Message):
    __slots__ = ("total_inferences", "avg_latency_ms", "model_loaded")
    TOTAL_INFERENCES_FIELD_NUMBER: _ClassVar[int]
    AVG_LATENCY_MS_FIELD_NUMBER: _ClassVar[int]
    MODEL_LOADED_FIELD_NUMBER: _ClassVar[int]
    total_inferences: int
    avg_latency_ms: float
    model_loaded: bool
    def __init__(self, total_inferences: _Optional[int] = ..., avg_latency_ms: _Optional[float] = ..., model_loaded: _Optional[bool] = ...) -> None: ...

class SignalStatistics(_message.Message):
    __slots__ = ("signals_generated", "confidence_threshold", "min_risk_reward", "position_size_pct", "buy_signals", "sell_signals", "hold_signals", "simulated_signals")
    SIGNALS_GENERATED_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    MIN_RISK_REWARD_FIELD_NUMBER: _ClassVar[int]
    POSITION_SIZE_PCT_FIELD_NUMBER: _ClassVar[int]
    BUY_SIGNALS_FIELD_NUMBER: _ClassVar[int]
    SELL_SIGNALS_FIELD_NUMBER: _ClassVar[int]
    HOLD_SIGNALS_FIELD_NUMBER: _ClassVar[int]
    SIMULATED_SIGNALS_FIELD_NUMBER: _ClassVar[int]
    signals_generated: int
    confidence_threshold: float
    min_risk_reward: float
    position_size_pct: float
    buy_signals: int
    sell_signals: int
    hold_signals: int
    simulated_signals: int
    def __init__(self, signals_generated: _Optional[int] = ..., confidence_threshold: _Optional[float] = ..., min_risk_reward: _Optional[float] = ..., position_size_pct: _Optional[float] = ..., buy_signals: _Optional[int] = ..., sell_signals: _Optional[int] = ..., hold_signals: _Optional[int] = ..., simulated_signals: _Optional[int] = ...) -> None: ...

class PositionStatistics(_message.Message):
    __slots__ = ("total_signals", "total_positions_opened", "total_positions_closed", "active_positions", "total_pnl", "avg_pnl", "winning_positions", "losing_positions", "win_rate", "total_pnl_account", "costs")
    TOTAL_SIGNALS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_POSITIONS_OPENED_FIELD_NUMBER: _ClassVar[int]
    TOTAL_POSITIONS_CLOSED_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_POSITIONS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_PNL_FIELD_NUMBER: _ClassVar[int]
    AVG_PNL_FIELD_NUMBER: _ClassVar[int]
    WINNING_POSITIONS_FIELD_NUMBER: _ClassVar[int]
    LOSING_POSITIONS_FIELD_NUMBER: _ClassVar[int]
    WIN_RATE_FIELD_NUMBER: _ClassVar[int]
    TOTAL_PNL_ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    COSTS_FIELD_NUMBER: _ClassVar[int]
    total_signals: int
    total_positions_opened: int
    total_positions_closed: int
    active_positions: int
    total_pnl: float
    avg_pnl: float
    winning_positions: int
    losing_positions: int
    win_rate: float
    total_pnl_account: float
    costs: _containers.RepeatedCompositeFieldContainer[TradingCosts]
    def __init__(self, total_signals: _Optional[int] = ..., total_positions_opened: _Optional[int] = ..., total_positions_closed: _Optional[int] = ..., active_positions: _Optional[int] = ..., total_pnl: _Optional[float] = ..., avg_pnl: _Optional[float] = ..., winning_positions: _Optional[int] = ..., losing_positions: _Optional[int] = ..., win_rate: _Optional[float] = ..., total_pnl_account: _Optional[float] = ..., costs: _Optional[_Iterable[_Union[TradingCosts, _Mapping]]] = ...) -> None: ...

class TradingCosts(_message.Message):
    __slots__ = ("symbol", "spread", "commission", "slippage")
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    SPREAD_FIELD_NUMBER: _ClassVar[int]
    COMMISSION_FIELD_NUMBER: _ClassVar[int]
    SLIPPAGE_FIELD_NUMBER: _ClassVar[int]
    symbol: str
    spread: str
    commission: str
    slippage: str
    def __init__(self, symbol: _Optional[str] = ..., spread: _Optional[str] = ..., commission: _Optional[str] = ..., slippage: _Optional[str] = ...) -> None: ...

class MarketDataStatistics(_message.Message):
    __slots__ = ("bars_stored", "symbols")
    BARS_STORED_FIELD_NUMBER: _ClassVar[int]
    SYMBOLS_FIELD_NUMBER: _ClassVar[int]
    bars_stored: int
    symbols: int
    def __init__(self, bars_stored: _Optional[int] = ..., symbols: _Optional[int] = ...) -> None: ...
