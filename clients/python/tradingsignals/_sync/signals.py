# Generated from _async/signals.py by `make generate`; do not edit.
"""Signals: made, listed, explained, and what they were worth."""

from __future__ import annotations

from collections.abc import Iterable

from tradingsignals.v1 import outcome_service_pb2, signal_service_pb2
from tradingsignals.v1.explanation_pb2 import Explanation, Replay
from tradingsignals.v1.outcome_pb2 import Outcome
from tradingsignals.v1.signal_pb2 import Signal
from tradingsignals.v1.signal_service_pb2 import GetPerformanceResponse
from tradingsignals.v1.statistics_pb2 import Statistics

from ..requests import PERFORMANCE_TIMEOUT_SECONDS, Action, Basis, Dimension, Fill, Origin, Resolution, When, when
from .caller import Caller
from .pages import Pages


class SignalMethods(Caller):
    """The methods about signals."""

    def generate_signal(
        self,
        close_price: float,
        *,
        symbol: str | None = None,
        open_price: float | None = None,
        high_price: float | None = None,
        low_price: float | None = None,
        volume: float | None = None,
        rsi: float | None = None,
        macd: float | None = None,
        macd_signal: float | None = None,
        bb_upper: float | None = None,
        bb_lower: float | None = None,
        ema_20: float | None = None,
        ema_50: float | None = None,
        atr: float | None = None,
        idempotency_key: str | None = None,
    ) -> Signal:
        """Make a signal at a price, acted on like any other; what is left out comes from the stored bars."""
        request = signal_service_pb2.GenerateSignalRequest(
            symbol=symbol,
            close_price=close_price,
            open_price=open_price,
            high_price=high_price,
            low_price=low_price,
            volume=volume,
            rsi=rsi,
            macd=macd,
            macd_signal=macd_signal,
            bb_upper=bb_upper,
            bb_lower=bb_lower,
            ema_20=ema_20,
            ema_50=ema_50,
            atr=atr,
        )
        response = self._once(self._signals.GenerateSignal, request, idempotency_key)
        return response.signal

    def generate_signal_from_db(
        self, symbol: str | None = None, *, lookback_bars: int | None = None, idempotency_key: str | None = None
    ) -> Signal:
        """Make a signal from the newest stored bars. Raises FailedPrecondition if they are too few."""
        request = signal_service_pb2.GenerateSignalFromDbRequest(symbol=symbol, lookback_bars=lookback_bars)
        response = self._once(self._signals.GenerateSignalFromDb, request, idempotency_key)
        return response.signal

    def latest_signal(self, symbol: str | None = None) -> Signal:
        """Return the newest signal, of `symbol` or of any. Raises NotFound if there is none yet."""
        request = signal_service_pb2.GetLatestSignalRequest(symbol=symbol)
        response = self._unary(self._signals.GetLatestSignal, request)
        return response.signal

    def signals(
        self,
        *,
        symbol: str | None = None,
        action: Action | None = None,
        start_date: When = None,
        end_date: When = None,
        page_size: int = 100,
    ) -> Pages[Signal]:
        """List signals, the newest first, from `start_date` (inclusive) to `end_date` (exclusive)."""

        def fetch(page_token: str) -> signal_service_pb2.ListSignalsResponse:
            request = signal_service_pb2.ListSignalsRequest(
                limit=page_size,
                action=action,
                symbol=symbol,
                start_date=when(start_date),
                end_date=when(end_date),
                page_token=page_token,
            )
            return self._unary(self._signals.ListSignals, request)

        return Pages(fetch, lambda page: page.signals)

    def explain_signal(self, signal_id: str) -> Explanation:
        """Return why a signal was given. Raises NotFound if there is none with this id."""
        request = signal_service_pb2.ExplainSignalRequest(signal_id=signal_id)
        return (self._unary(self._signals.ExplainSignal, request)).explanation

    def replay_signal(self, signal_id: str) -> Replay:
        """Make a stored signal again from its stored inputs, and return whether it is equal, or what differs and why.

        Raises NotFound if there is no signal with this id, FailedPrecondition if its inputs are not stored.
        """
        request = signal_service_pb2.ReplaySignalRequest(signal_id=signal_id)
        return (self._unary(self._signals.ReplaySignal, request)).replay

    def list_outcomes(
        self,
        *,
        symbol: str | None = None,
        action: Action | None = None,
        resolution: Resolution | None = None,
        fill: Fill | None = None,
        model_version: str | None = None,
        shadow: bool | None = None,
        start_date: When = None,
        end_date: When = None,
        page_size: int = 100,
    ) -> Pages[Outcome]:
        """List outcomes of signals, the last resolved first, with exits from `start_date` to before `end_date`."""

        def fetch(page_token: str) -> outcome_service_pb2.ListOutcomesResponse:
            request = outcome_service_pb2.ListOutcomesRequest(
                limit=page_size,
                page_token=page_token,
                symbol=symbol,
                action=action,
                resolution=resolution,
                fill=fill,
                model_version=model_version,
                shadow=shadow,
                start_date=when(start_date),
                end_date=when(end_date),
            )
            return self._unary(self._outcomes.ListOutcomes, request)

        return Pages(fetch, lambda page: page.outcomes)

    def statistics(self) -> Statistics:
        """Return counts over all stored signals and positions."""
        response = self._unary(self._signals.GetStatistics, signal_service_pb2.GetStatisticsRequest())
        return response.statistics

    def get_performance(
        self,
        *,
        by: Iterable[Dimension] = (),
        basis: Basis | None = None,
        fill: Fill | None = None,
        shadow: bool | None = None,
        symbol: str | None = None,
        action: Action | None = None,
        origin: Origin | None = None,
        model_version: str | None = None,
        model_key: str | None = None,
        start_date: When = None,
        end_date: When = None,
    ) -> GetPerformanceResponse:
        """Return the statistics of outcomes with exits from `start_date` to before `end_date`, and of the equity.

        It takes some seconds, and has a deadline of 15 seconds at least.
        """
        request = signal_service_pb2.GetPerformanceRequest(
            basis=basis,
            fill=fill,
            shadow=shadow,
            symbol=symbol,
            action=action,
            origin=origin,
            model_version=model_version,
            model_key=model_key,
            start_date=when(start_date),
            end_date=when(end_date),
            by=by,
        )
        seconds = max(self._timeout, PERFORMANCE_TIMEOUT_SECONDS)
        return self._unary(self._signals.GetPerformance, request, seconds)
