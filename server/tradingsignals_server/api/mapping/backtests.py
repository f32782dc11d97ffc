"""Backtests as messages of the contract, and their requests as values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tradingsignals.v1 import backtest_pb2, backtest_service_pb2

from ...application.backtest.result import BacktestProgress, BacktestResult
from ...application.ports.backtests import BacktestOrder
from ...domain.bars import Bar
from ...domain.errors import InvalidBar
from ...domain.intervals import IntervalOf
from ...domain.performance.equity import EquityCurve
from ...domain.performance.figures import Figure
from .from_proto import bar_of
from .to_proto import position_message, timestamp
from .validation import Checks

POSITIONS_A_RESPONSE = 500
POINTS_A_RESPONSE = 2000
_MOST_REJECTIONS = 100

Response = backtest_service_pb2.RunBacktestResponse


def order_of(request: backtest_service_pb2.RunBacktestRequest, interval_of: IntervalOf) -> BacktestOrder:
    """Return what a request asks for.

    Raises:
        InvalidRequest: a field is out of bounds.
    """
    with Checks() as checks:
        symbols = checks.symbols(request.symbols)
        start, end = checks.period(request.start_date, request.end_date)
        checks.count(request.settings, "settings")
        fits = checks.count(request.bars, "bars", request.DESCRIPTOR.name)
        if request.bars and symbols:
            checks.refuse("symbols", "must be empty with bars, which have their own")
    bars = list(_bars(request, interval_of)) if request.bars and fits else None
    return BacktestOrder(
        symbols=tuple(sorted(symbols)),
        start=start,
        end=end,
        bars=bars,
        model_version=request.model_version,
        settings=tuple(request.settings),
        compare=request.compare,
        seed=request.seed if request.HasField("seed") else None,
    )


def _bars(request: backtest_service_pb2.RunBacktestRequest, interval_of: IntervalOf) -> Iterator[Bar]:
    for index, message in enumerate(request.bars):
        try:
            yield bar_of(message, interval_of)
        except InvalidBar as error:
            raise error.under(f"bars[{index}]") from error


def progress_message(progress: BacktestProgress) -> Response:
    """Return the progress of a run."""
    return Response(
        progress=backtest_pb2.BacktestProgress(
            bars=progress.bars,
            total_bars=progress.total_bars,
            through=timestamp(progress.through),
            closed_positions=progress.closed_positions,
            equity=progress.equity,
        )
    )


def result_messages(result: BacktestResult) -> Iterator[Response]:
    """Yield a result in parts: closed positions, equity, and the rest."""
    for start in range(0, len(result.positions), POSITIONS_A_RESPONSE):
        part = result.positions[start : start + POSITIONS_A_RESPONSE]
        positions = [position_message(position, 0) for position in part]
        yield Response(positions=backtest_pb2.BacktestPositions(positions=positions))
    if result.equity is not None:
        yield from _equity(result.equity)
    yield Response(result=_result(result))


def _equity(curve: EquityCurve) -> Iterator[Response]:
    for start in range(0, len(curve.times), POINTS_A_RESPONSE):
        part = slice(start, start + POINTS_A_RESPONSE)
        columns = zip(curve.times[part], curve.equity[part], curve.exposure[part], strict=True)
        points = [
            backtest_pb2.BacktestEquityPoint(time=timestamp(time), equity=equity, exposure=exposure)
            for time, equity, exposure in columns
        ]
        yield Response(equity=backtest_pb2.BacktestEquity(points=points))


def _result(result: BacktestResult) -> backtest_pb2.BacktestResult:
    facts, bars = result.facts, result.bars
    return backtest_pb2.BacktestResult(
        facts=backtest_pb2.BacktestFacts(
            symbols=facts.symbols,
            first_bar=timestamp(facts.first_bar),
            last_bar=timestamp(facts.last_bar),
            warm_up_bars=facts.warm_up_bars,
            bars_sha256=facts.bars_sha256,
            model_version=facts.model.version,
            model_sha256=facts.model.sha256,
            settings=[f"{name}={value}" for name, value in facts.settings.items()],
            settings_sha256=facts.settings_sha256,
        ),
        bars=backtest_pb2.BacktestBars(
            accepted=bars.accepted,
            warming_up=bars.warming_up,
            outside_session=bars.outside_session,
            other_interval=bars.other_interval,
            duplicates=bars.duplicate,
            refused=bars.refused,
        ),
        buy_signals=result.actions["BUY"],
        sell_signals=result.actions["SELL"],
        hold_signals=result.actions["HOLD"],
        figures=_figures(result.performance.figures),
        comparisons=[
            backtest_pb2.BacktestComparison(name=one.name, definition=one.definition, figures=_figures(one.figures))
            for one in result.comparisons
        ],
        rejections=[
            backtest_pb2.BacktestRejection(rule=one.rule, count=one.count, example=one.example)
            for one in result.rejections[:_MOST_REJECTIONS]
        ],
        open_positions=[position_message(position, 0) for position in result.open_positions],
        seconds=result.seconds,
        left_out=result.left_out,
    )


def _figures(figures: Mapping[str, Figure]) -> list[backtest_pb2.BacktestFigure]:
    return [
        backtest_pb2.BacktestFigure(
            name=name,
            value=figure.value,
            n=figure.n,
            low=None if figure.interval is None else figure.interval.low,
            high=None if figure.interval is None else figure.interval.high,
        )
        for name, figure in figures.items()
    ]
