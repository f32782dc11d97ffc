"""The application: its routes, and the decision that they share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any
from uuid import uuid4

import numpy as np
import onnxruntime
import pandas as pd
from fastapi import FastAPI, Query

from .broadcast import Hub
from .indicators import technical_factors
from .messages import GenerateRequest, HealthResponse, HistoryResponse, Signal, SignalResponse, TechnicalFactors
from .stores import Store, opened

FEATURES = 16
OBSERVATION = "observation"
ACTIONS = ("HOLD", "BUY", "SELL")
CONFIDENCE_THRESHOLD, MIN_RISK_REWARD, POSITION_SIZE_PCT = 0.65, 1.5, 0.02
STOP_ATR, TARGET_ATR = 2.0, 3.0


class Signals:
    """Makes signals, saves them in `store`, and then broadcasts them."""

    store: Store

    def __init__(self, model: Path, hub: Hub) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session: Any = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        # No state is kept between calls: an LSTM always starts from zeros.
        self._zeros = {
            node.name: np.zeros([size if isinstance(size, int) else 1 for size in node.shape], np.float32)
            for node in self._session.get_inputs()
            if node.name != OBSERVATION
        }
        self._version = model.stem
        self._hub = hub
        self.made = 0

    async def make(self, symbol: str, price: float, factors: TechnicalFactors) -> Signal:
        """A signal at `price`."""
        started = perf_counter()
        outputs = self._session.run(None, {OBSERVATION: _observation(price, factors), **self._zeros})
        probabilities = outputs[0][0].tolist()
        confidence = max(probabilities)
        action = ACTIONS[probabilities.index(confidence)]
        atr = factors.atr or 0.01 * price
        if confidence < CONFIDENCE_THRESHOLD or TARGET_ATR / STOP_ATR < MIN_RISK_REWARD:
            action = "HOLD"
        stop_loss = take_profit = ratio = None
        size = 0.0
        if action != "HOLD":
            side = 1.0 if action == "BUY" else -1.0
            stop_loss, take_profit = price - side * STOP_ATR * atr, price + side * TARGET_ATR * atr
            ratio, size = TARGET_ATR / STOP_ATR, POSITION_SIZE_PCT * confidence
        signal = Signal(
            signal_id=str(uuid4()),
            timestamp=datetime.now(UTC),
            symbol=symbol,
            action=action,
            confidence=confidence,
            entry_price=price,
            stop_loss=stop_loss,
            take_profit=take_profit,
            position_size=size,
            risk_reward_ratio=ratio,
            model_version=self._version,
            model_type="PPO-LSTM",
            reasoning=_reasoning(confidence, factors),
            latency_ms=(perf_counter() - started) * 1e3,
            technical_factors=factors,
        )
        await self.store.save(signal)
        self.made += 1
        self._hub.publish(signal)
        return signal


def make_app(model: Path, dsn: str, variant: str) -> FastAPI:
    """The application with the policy in `model` and the database at `dsn`; `variant` is "volatile" or "durable"."""
    hub = Hub()
    signals = Signals(model, hub)

    @asynccontextmanager
    async def broadcasting(_: FastAPI) -> AsyncIterator[None]:
        task = asyncio.create_task(hub.run())
        async with opened(variant, dsn) as signals.store:
            yield
        task.cancel()

    app = FastAPI(title="Signals", lifespan=broadcasting)

    async def health() -> HealthResponse:
        return HealthResponse(status="healthy", model_loaded=True, total_signals_generated=signals.made)

    async def made_for(request: GenerateRequest) -> Signal:
        histogram = None
        if request.macd is not None and request.macd_signal is not None:
            histogram = request.macd - request.macd_signal
        factors = TechnicalFactors(
            rsi=request.rsi,
            macd=request.macd,
            macd_signal=request.macd_signal,
            macd_histogram=histogram,
            bb_upper=request.bb_upper,
            bb_lower=request.bb_lower,
            ema_20=request.ema_20,
            ema_50=request.ema_50,
            atr=request.atr,
        )
        return await signals.make(request.symbol, request.close_price, factors)

    async def generate(request: GenerateRequest) -> SignalResponse:
        return SignalResponse(signal=await made_for(request))

    async def burst(request: GenerateRequest, count: int) -> SignalResponse:
        made = await asyncio.gather(*(made_for(request) for _ in range(count)))
        return SignalResponse(signal=made[-1])

    async def generate_from_db(
        symbol: str = "USDCOP", lookback_bars: int = Query(100, ge=50, le=500)
    ) -> SignalResponse:
        rows = await signals.store.bars(symbol, lookback_bars)
        bars = pd.DataFrame([dict(row) for row in reversed(rows)])
        price = float(bars["close"].iloc[-1])
        return SignalResponse(signal=await signals.make(symbol, price, technical_factors(bars)))

    async def history(limit: int = Query(100, ge=1, le=1000)) -> HistoryResponse:
        newest = await signals.store.newest(limit)
        return HistoryResponse(signals=newest, count=len(newest))

    app.add_api_route("/health", health, methods=["GET"])
    app.add_api_route("/api/signals/generate", generate, methods=["POST"])
    app.add_api_route("/api/signals/burst", burst, methods=["POST"])
    app.add_api_route("/api/signals/generate-from-db", generate_from_db, methods=["POST"])
    app.add_api_route("/api/signals/history", history, methods=["GET"])
    app.add_api_websocket_route("/ws/signals", hub.follow)
    return app


def _observation(price: float, factors: TechnicalFactors) -> np.ndarray[Any, np.dtype[np.float32]]:
    """The features in the model's order; unknown ones are 0."""
    atr = factors.atr or 0.01 * price
    known = [
        0.0 if factors.rsi is None else (factors.rsi - 50.0) / 50.0,
        *((value or 0.0) / atr for value in (factors.macd, factors.macd_signal, factors.macd_histogram)),
        *(0.0 if level is None else (price - level) / atr for level in (factors.ema_20, factors.ema_50)),
    ]
    observation = np.zeros((1, FEATURES), dtype=np.float32)
    observation[0, 4 : 4 + len(known)] = np.clip(known, -10.0, 10.0)
    return observation


def _reasoning(confidence: float, factors: TechnicalFactors) -> list[str]:
    reasons = [f"Model confidence: {confidence:.1%}"]
    if factors.rsi is not None:
        zone = "oversold" if factors.rsi <= 30 else "overbought" if factors.rsi >= 70 else "neutral"
        reasons.append(f"RSI {zone} ({factors.rsi:.1f})")
    if factors.macd_histogram is not None:
        reasons.append("MACD bullish cross" if factors.macd_histogram > 0 else "MACD bearish cross")
    if factors.ema_20 is not None and factors.ema_50 is not None:
        reasons.append("EMA 20 above EMA 50" if factors.ema_20 > factors.ema_50 else "EMA 20 below EMA 50")
    return reasons
