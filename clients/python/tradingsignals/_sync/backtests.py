# Generated from _async/backtests.py by `make generate`; do not edit.
"""A backtest that the service runs: its progress, and its result."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from tradingsignals.v1 import backtest_service_pb2
from tradingsignals.v1.backtest_pb2 import BacktestEquityPoint, BacktestProgress, BacktestResult
from tradingsignals.v1.bar_pb2 import Bar
from tradingsignals.v1.position_pb2 import Position

from ..requests import When, when
from .caller import Caller
from .calls import StreamCall


@dataclass
class Backtest:
    """A running backtest: `for progress in backtest` gives its progress, and ends with the result.

    result: None until the end. positions: closed ones, in the order of their exits. equity: by bar. As a context
    manager it ends the backtest on leaving. Iterating raises a TradingSignalsError if there is no result.
    """

    call: Any = field(repr=False)
    result: BacktestResult | None = None
    positions: list[Position] = field(default_factory=list, repr=False)
    equity: list[BacktestEquityPoint] = field(default_factory=list, repr=False)

    def __post_init__(self) -> None:
        self._responses = StreamCall(self.call)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.cancel()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> BacktestProgress:
        while (response := self._responses.read()) is not None:
            match response.WhichOneof("part"):
                case "progress":
                    progress: BacktestProgress = response.progress
                    return progress
                case "positions":
                    self.positions.extend(response.positions.positions)
                case "equity":
                    self.equity.extend(response.equity.points)
                case "result":
                    self.result = response.result
        raise StopIteration

    def wait(self) -> BacktestResult | None:
        """Wait for the end and return the result; None if the backtest was cancelled."""
        for _ in self:
            pass
        return self.result

    def cancel(self) -> None:
        """End the backtest."""
        self._responses.cancel()


class BacktestMethods(Caller):
    """The methods about backtests."""

    def run_backtest(
        self,
        *,
        symbols: Iterable[str] = (),
        start_date: When = None,
        end_date: When = None,
        bars: Iterable[Bar] = (),
        model_version: str = "",
        settings: Iterable[str] = (),
        compare: bool = False,
        seed: int | None = None,
    ) -> Backtest:
        """Run a backtest of stored bars, or of `bars`, with settings such as "CONFIDENCE_THRESHOLD=0.7" changed."""
        request = backtest_service_pb2.RunBacktestRequest(
            symbols=symbols,
            start_date=when(start_date),
            end_date=when(end_date),
            bars=bars,
            model_version=model_version,
            settings=settings,
            compare=compare,
            seed=seed,
        )
        return Backtest(self._backtests.RunBacktest(request))
