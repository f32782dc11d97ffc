"""Messages of the contract as values of the domain."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tradingsignals.v1 import bar_pb2

from ...domain.bars import Bar, grid_problem, interval_violation, time_violations, value_violations
from ...domain.errors import FieldViolation, InvalidBar, InvalidRequest
from ...domain.intervals import IntervalOf, interval_name
from ...domain.symbols import parse_symbol
from ...transport.grpc.bounds import MAX_QUOTED


def bar_of(message: bar_pb2.Bar, interval_of: IntervalOf) -> Bar:
    """The bar in a message, which has the interval of its symbol.

    Raises:
        InvalidBar: it cannot be one.
    """
    violations: list[FieldViolation] = []
    try:
        symbol = parse_symbol(message.symbol)
    except InvalidRequest as error:
        violations.extend(error.violations)
        symbol = message.symbol
    interval = interval_of(symbol)
    if message.interval and message.interval != interval_name(interval):
        violations.append(interval_violation(message.interval[:MAX_QUOTED], symbol[:MAX_QUOTED], interval))
    time = _time_of(message, interval, violations)
    if violations:
        values = value_violations(message.open, message.high, message.low, message.close, message.volume)
        raise InvalidBar([*violations, *values], symbol=symbol[:MAX_QUOTED])
    prices = (message.open, message.high, message.low, message.close)
    return Bar(symbol, time, *prices, message.volume, interval=interval)


def _time_of(message: bar_pb2.Bar, interval: timedelta, violations: list[FieldViolation]) -> datetime:
    sent = message.time
    if not message.HasField("time"):
        violations.append(FieldViolation("time", "is required"))
    elif sent.nanos:
        violations.append(FieldViolation("time", grid_problem(interval)))
    else:
        try:
            time = datetime.fromtimestamp(sent.seconds, UTC)
        except (ValueError, OverflowError, OSError):
            violations.append(FieldViolation("time", "is not a time"))
        else:
            violations.extend(time_violations(time, interval))
            return time
    return datetime.min.replace(tzinfo=UTC)
