"""Messages of the contract as values of the domain."""

from __future__ import annotations

from datetime import UTC, datetime

from tradingsignals.v1 import bar_pb2

from ...domain.bars import Bar, parse_symbol, time_violations, value_violations
from ...domain.errors import FieldViolation, InvalidBar, InvalidRequest
from ...transport.grpc.bounds import MAX_QUOTED


def bar_of(message: bar_pb2.Bar) -> Bar:
    """The bar in a message.

    Raises:
        InvalidBar: it cannot be one.
    """
    violations: list[FieldViolation] = []
    try:
        symbol = parse_symbol(message.symbol)
    except InvalidRequest as error:
        violations.extend(error.violations)
        symbol = message.symbol
    time = _time_of(message, violations)
    if violations:
        values = value_violations(message.open, message.high, message.low, message.close, message.volume)
        raise InvalidBar([*violations, *values], symbol=symbol[:MAX_QUOTED])
    return Bar(symbol, time, message.open, message.high, message.low, message.close, message.volume)


def _time_of(message: bar_pb2.Bar, violations: list[FieldViolation]) -> datetime:
    sent = message.time
    if not message.HasField("time"):
        violations.append(FieldViolation("time", "is required"))
    elif sent.nanos:
        violations.append(FieldViolation("time", "must be the open of the bar, on a whole five minutes"))
    else:
        try:
            time = datetime.fromtimestamp(sent.seconds, UTC)
        except (ValueError, OverflowError, OSError):
            violations.append(FieldViolation("time", "is not a time"))
        else:
            violations.extend(time_violations(time))
            return time
    return datetime.min.replace(tzinfo=UTC)
