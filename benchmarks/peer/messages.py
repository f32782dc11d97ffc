"""Requests and responses of the older design."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, Field


class GenerateRequest(BaseModel):
    """A price, and the indicators that the caller has."""

    symbol: str = "USDCOP"
    close_price: float = Field(gt=0, allow_inf_nan=False)
    open_price: float | None = None
    high_price: float | None = None
    low_price: float | None = None
    volume: float | None = None
    rsi: float | None = None
    macd: float | None = None
    macd_signal: float | None = None
    bb_upper: float | None = None
    bb_lower: float | None = None
    ema_20: float | None = None
    ema_50: float | None = None
    atr: float | None = None


class TechnicalFactors(BaseModel):
    """Indicators at the decision."""

    rsi: float | None = None
    macd: float | None = None
    macd_signal: float | None = None
    macd_histogram: float | None = None
    bb_upper: float | None = None
    bb_middle: float | None = None
    bb_lower: float | None = None
    ema_20: float | None = None
    ema_50: float | None = None
    atr: float | None = None
    volatility: float | None = None


class Signal(BaseModel):
    """One decision."""

    signal_id: str
    timestamp: datetime
    symbol: str
    action: str
    confidence: float
    entry_price: float
    stop_loss: float | None = None
    take_profit: float | None = None
    position_size: float
    risk_reward_ratio: float | None = None
    model_version: str
    model_type: str
    reasoning: list[str]
    latency_ms: float
    technical_factors: TechnicalFactors
    market_regime: str | None = None
    trend_direction: str | None = None
    simulated: bool = False


class SignalResponse(BaseModel):
    """One signal."""

    signal: Signal


class HistoryResponse(BaseModel):
    """Signals, the newest first."""

    signals: list[Signal]
    count: int


class HealthResponse(BaseModel):
    """Health of the service."""

    status: str
    model_loaded: bool
    total_signals_generated: int
