"""Performance: the request as a query, and the statistics as a message of the contract."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tradingsignals.v1 import performance_pb2
from tradingsignals.v1.signal_service_pb2 import GetPerformanceRequest, GetPerformanceResponse

from ...application.performance import LivePerformance
from ...application.ports.performance import Basis, PerformanceQuery
from ...domain.outcomes import Fill
from ...domain.performance.breakdowns import Breakdown, Dimension
from ...domain.performance.calibration import CalibrationBin
from ...domain.performance.definitions import DEFINITIONS, LATENCIES
from ...domain.performance.drawdowns import Drawdown
from ...domain.performance.figures import Figure
from ...domain.signals import Action
from .to_proto import timestamp
from .validation import Checks

MOST_DRAWDOWNS = 10

_UNITS = {name: definition.unit.value for name, definition in (DEFINITIONS | LATENCIES).items()}


def performance_query(request: GetPerformanceRequest) -> PerformanceQuery:
    """Convert a request.

    Raises:
        InvalidRequest: a field is out of its bounds.
    """
    named, has = GetPerformanceRequest.Basis, request.HasField
    with Checks() as checks:
        basis = checks.named(request.basis, "basis", named, Basis) if has("basis") else None
        by = checks.count(request.by, "by")
        dimensions = performance_pb2.PerformanceGroup.Dimension
        start, end = checks.period(request.start_date, request.end_date)
        query = PerformanceQuery(
            basis=basis or (Basis.SIGNALS if request.shadow else Basis.POSITIONS),
            fill=checks.fill(request.fill, "fill") if has("fill") else Fill.CLOSE,
            shadow=request.shadow,
            symbol=checks.symbol(request.symbol),
            action=checks.action(request.action, "action") if has("action") else None,
            origin=checks.origin(request.origin, "origin") if has("origin") else None,
            model_version=request.model_version or None,
            model_key=request.model_key or None,
            start=start,
            end=end,
            by=tuple(
                dict.fromkeys(
                    checks.named(value, f"by[{i}]", dimensions, Dimension) for i, value in enumerate(request.by) if by
                )
            ),
        )
        if query.action is Action.HOLD:
            checks.refuse("action", "must be one of BUY, SELL: a HOLD has no outcome")
        if query.shadow and query.basis is Basis.POSITIONS:
            checks.refuse("basis", "must be SIGNALS: a shadow model opens no position")
    return query


def performance_response(found: LivePerformance) -> GetPerformanceResponse:
    """The response with the statistics."""
    performance = found.performance
    deepest = sorted(performance.drawdowns, key=lambda one: one.depth_pct, reverse=True)[:MOST_DRAWDOWNS]
    message = performance_pb2.Performance(
        figures=_figures(performance.figures | found.latencies),
        groups=map(_group, performance.breakdowns),
        calibration=map(_bin, performance.calibration),
        drawdowns=map(_drawdown, sorted(deepest, key=lambda one: one.peak_time)),
        monthly_returns=(
            performance_pb2.MonthlyReturn(
                year=one.year, month=one.month, return_pct=one.return_pct, sessions=one.sessions
            )
            for one in performance.monthly_returns
        ),
        of_account=found.of_account,
        start_time=None if found.start is None else timestamp(found.start),
        end_time=None if found.end is None else timestamp(found.end),
        truncated=found.truncated,
        simulated=found.simulated,
        currency=found.currency,
    )
    return GetPerformanceResponse(performance=message, through_sequence=found.through_sequence)


def _figures(figures: Mapping[str, Figure]) -> Iterable[performance_pb2.Figure]:
    for name in [name for name in _UNITS if name in figures]:
        figure, interval = figures[name], figures[name].interval
        yield performance_pb2.Figure(
            name=name,
            value=figure.value,
            unit=_UNITS[name],
            n=figure.n,
            low=None if interval is None else interval.low,
            high=None if interval is None else interval.high,
        )


def _group(group: Breakdown) -> performance_pb2.PerformanceGroup:
    return performance_pb2.PerformanceGroup(
        dimension=group.dimension.value, key=group.key, figures=_figures(group.figures)
    )


def _bin(one: CalibrationBin) -> performance_pb2.CalibrationBin:
    interval = one.win_rate.interval
    return performance_pb2.CalibrationBin(
        low=one.low,
        high=one.high,
        n=one.n,
        mean_win_probability=one.mean_probability,
        win_rate=one.win_rate.value,
        win_rate_low=None if interval is None else interval.low,
        win_rate_high=None if interval is None else interval.high,
    )


def _drawdown(one: Drawdown) -> performance_pb2.Drawdown:
    return performance_pb2.Drawdown(
        peak_time=timestamp(one.peak_time),
        trough_time=timestamp(one.trough_time),
        recovery_time=None if one.recovery_time is None else timestamp(one.recovery_time),
        peak=one.peak,
        trough=one.trough,
        depth_pct=one.depth_pct,
    )
