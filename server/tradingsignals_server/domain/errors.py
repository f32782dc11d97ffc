"""Errors that callers see.

ServiceError
├── InvalidRequest              a field is out of bounds, malformed or missing
│   ├── InvalidPageToken
│   ├── InvalidBar              the prices of a bar contradict each other, or its time is not valid
│   └── PriceJump               a price is too far from the last known price of the symbol
├── MalformedMessage            a message cannot be parsed as a request of the method
├── NotFound
│   └── PositionNotFound
├── NotAPeer                    the caller of an internal method is not a server of the same database
├── BarConflict                 a different bar is stored for the same symbol and time
├── FailedPrecondition
│   ├── PositionAlreadyClosed
│   ├── NotEnoughBars
│   ├── ModelInterval           the model is for bars of another interval than those of the symbol
│   ├── IntervalStored          bars of the symbol are stored that have another interval than BAR_INTERVAL says
│   ├── TooManySymbols          the symbol is new, and the limit of symbols is reached
│   ├── NotStorable             the result of the request violates a constraint of the database
│   ├── ModelNotLoaded          the model file was refused; the previous model stays in use
│   └── BacktestFailed          a backtest ended without a result
├── SequenceOutOfRange
│   ├── SequencePruned
│   └── SequenceUnknown
├── StorageUnavailable          the database cannot be reached; nothing is known to be stored
│   └── OwnerUnavailable        the server that owns the symbol cannot be reached; nothing was done
├── Overloaded                  the queue of pending requests is full
│   ├── ReadTimedOut            the database has not finished a read in time
│   └── TooManyBacktests        as many backtests run as may
├── FollowerStalled             a follower has not read its stream for too long
└── ShuttingDown

signal_errors.py has SignalNotFound, which is a NotFound, and InputsNotStored, which is a FailedPrecondition;
account_errors.py has AccountNotReady, and TradingIsHalted, which is a FailedPrecondition; statistics_errors.py has
StatisticsLimit, which is Overloaded; access_errors.py has those of callers that may not do what they ask for;
notification_errors.py has those about endpoints; idempotency.py has IdempotencyKeyReused, and KeyUsedMeanwhile.

`message`, `metadata` and `violations` are public and part of the contract. Details for the operator alone belong in
`__cause__`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from .wording import counted


def time_text(time: datetime) -> str:
    """Return a time as errors state it: RFC 3339, with Z for UTC."""
    return time.isoformat().replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One invalid field: `field` is its path in the request, `description` says why it is invalid."""

    field: str
    description: str


class ServiceError(Exception):
    """Base of every error that a caller may see. `reason` is a name of tradingsignals.v1.ErrorReason.

    A subclass keeps nothing but these three, so that `restored` can rebuild it.
    """

    reason: ClassVar[str] = "INTERNAL_ERROR"
    violations: tuple[FieldViolation, ...] = ()

    def __init__(self, message: str, **metadata: str) -> None:
        super().__init__(message)
        self.message = message
        self.metadata: Mapping[str, str] = metadata


LISTED_VIOLATIONS = 10
"""Number of violations that an error message lists; it states how many more there are."""


def violations_text(listed: Sequence[FieldViolation], count: int) -> str:
    """Format the first of `count` violations and the number of those that are not listed."""
    texts = [f"{violation.field}: {violation.description}" for violation in listed]
    if len(listed) < count:
        texts.append(f"and {count - len(listed)} more")
    return "; ".join(texts)


class InvalidRequest(ServiceError):
    """One or more fields are invalid."""

    reason = "INVALID_FIELD"

    def __init__(self, violations: Sequence[FieldViolation], **metadata: str) -> None:
        super().__init__(violations_text(violations[:LISTED_VIOLATIONS], len(violations)), **metadata)
        self.violations = tuple(violations)

    @classmethod
    def field(cls, field: str, description: str) -> InvalidRequest:
        """Return the error of a single violation."""
        return cls([FieldViolation(field, description)])


class InvalidPageToken(InvalidRequest):
    """The page token is not from this service, or belongs to another query."""

    reason = "INVALID_PAGE_TOKEN"

    def __init__(self) -> None:
        super().__init__([FieldViolation("page_token", "is not a token of this query; start again without it")])


class InvalidBar(InvalidRequest):
    """The fields of a bar are invalid or contradict each other."""

    reason = "INVALID_BAR"

    def under(self, path: str) -> InvalidBar:
        """Return the same error with `path` put before the path of each field."""
        return InvalidBar(
            [FieldViolation(f"{path}.{v.field}", v.description) for v in self.violations], **self.metadata
        )


class PriceJump(InvalidRequest):
    """A price is further from the last known price of the symbol than MAX_PRICE_JUMP allows."""

    reason = "PRICE_JUMP"

    def __init__(self, fields: Sequence[str], symbol: str, last_price: float, limit: float) -> None:
        description = f"is more than {limit:.0%} away from the last price of {symbol}, which is {last_price:g}"
        super().__init__(
            [FieldViolation(field, description) for field in fields], symbol=symbol, last_price=f"{last_price:g}"
        )


class MalformedMessage(ServiceError):
    """A message cannot be parsed. `index` is its position among the messages of the call, from 0."""

    reason = "MALFORMED_MESSAGE"

    def __init__(self, index: int) -> None:
        super().__init__(f"message {index} of the call cannot be read as what the method takes", index=str(index))


class NotFound(ServiceError):
    """The requested resource does not exist."""


class PositionNotFound(NotFound):
    """No position with this id exists."""

    reason = "POSITION_NOT_FOUND"

    def __init__(self, position_id: str) -> None:
        super().__init__(f"there is no position {position_id}", position_id=position_id)


class NotAPeer(ServiceError):
    """The method is reserved for servers of the same database, and the caller is not one of them."""

    reason = "NOT_A_PEER"

    def __init__(self) -> None:
        super().__init__("only servers of the same database may make this call")


class BarConflict(ServiceError):
    """A different bar is stored for the same symbol and time."""

    reason = "BAR_CONFLICT"

    def __init__(self, symbol: str, time: datetime) -> None:
        at = time_text(time)
        super().__init__(f"a different bar of {symbol} at {at} is stored; bars never change", symbol=symbol, time=at)


class FailedPrecondition(ServiceError):
    """The request is valid, but the present state does not allow it."""


class PositionAlreadyClosed(FailedPrecondition):
    """The position is closed."""

    reason = "POSITION_CLOSED"

    def __init__(self, position_id: str) -> None:
        super().__init__(f"position {position_id} is closed already", position_id=position_id)


class NotEnoughBars(FailedPrecondition):
    """Too few bars are stored to compute the indicators."""

    reason = "NOT_ENOUGH_BARS"

    def __init__(self, symbol: str, needed: int, stored: int) -> None:
        super().__init__(
            f"{symbol} has {counted(stored, 'bar')} of its sessions stored, {needed} are needed",
            symbol=symbol,
            bars_needed=str(needed),
            bars_stored=str(stored),
        )


class ModelInterval(FailedPrecondition):
    """The model is for bars of another interval than those of the symbol."""

    reason = "MODEL_INTERVAL"

    def __init__(self, symbol: str, interval: str, model_interval: str) -> None:
        super().__init__(
            f"bars of {symbol} are of {interval} and the model is for {model_interval}: no decision is made",
            symbol=symbol,
            interval=interval,
            model_interval=model_interval,
        )


class IntervalStored(FailedPrecondition):
    """Bars of the symbol are stored that have another interval than the setting says."""

    reason = "INTERVAL_STORED"

    def __init__(self, symbol: str, stored: str, interval: str) -> None:
        super().__init__(
            f"the stored bars of {symbol} are of {stored}, and BAR_INTERVAL of this server says {interval}",
            symbol=symbol,
            stored=stored,
            interval=interval,
        )


class TooManySymbols(FailedPrecondition):
    """The symbol is new, and the limit of symbols is reached."""

    reason = "TOO_MANY_SYMBOLS"

    def __init__(self, symbol: str, limit: int) -> None:
        super().__init__(
            f"{symbol} is new, and as many symbols as MAX_SYMBOLS={limit} are in use already",
            symbol=symbol,
            limit=str(limit),
        )


class NotStorable(FailedPrecondition):
    """The result of the request violates a constraint of the database. Nothing is stored; a retry would fail again."""

    reason = "NOT_STORABLE"

    def __init__(self, rule: str) -> None:
        super().__init__(f"what this leads to cannot be stored: {rule}", rule=rule)


class ModelNotLoaded(FailedPrecondition):
    """The model file was refused."""

    reason = "MODEL_REFUSED"


class SequenceOutOfRange(ServiceError):
    """The log cannot be resumed from the requested sequence."""


class SequencePruned(SequenceOutOfRange):
    """Entries after the sequence have been removed by retention."""

    reason = "SEQUENCE_PRUNED"

    def __init__(self, resume_after: int, oldest: int) -> None:
        super().__init__(
            f"events after {resume_after} are no longer all kept; the oldest kept is {oldest}",
            oldest_sequence=str(oldest),
        )


class SequenceUnknown(SequenceOutOfRange):
    """The sequence lies after the newest event, so it belongs to another epoch."""

    reason = "SEQUENCE_UNKNOWN"

    def __init__(self, resume_after: int, newest: int, epoch: str) -> None:
        super().__init__(
            f"{resume_after} lies after the newest event, {newest}: it belongs to another epoch",
            newest_sequence=str(newest),
            epoch=epoch,
        )


class StorageUnavailable(ServiceError):
    """The database cannot be reached."""

    reason = "STORAGE_UNAVAILABLE"

    def __init__(
        self, message: str = "the database cannot be reached; nothing is known to be stored, try again"
    ) -> None:
        super().__init__(message)


class OwnerUnavailable(StorageUnavailable):
    """The server that owns the symbol cannot be reached, or ownership is moving. Nothing was done."""

    reason = "OWNER_UNAVAILABLE"

    def __init__(self, symbol: str) -> None:
        ServiceError.__init__(self, f"the server that works on {symbol} cannot be reached; try again", symbol=symbol)


class Overloaded(ServiceError):
    """The queue of pending requests is full."""

    reason = "OVERLOADED"

    def __init__(self, limit: int) -> None:
        super().__init__(f"{limit} requests are pending already; try again later", limit=str(limit))


class ReadTimedOut(Overloaded):
    """The database has not finished a read in time: it is overloaded, or the read is too large."""

    def __init__(self, seconds: float) -> None:
        ServiceError.__init__(
            self, f"the read took longer than {seconds:g} s; try again later, or ask for less", limit=f"{seconds:g}"
        )


class TooManyBacktests(Overloaded):
    """As many backtests run as may."""

    reason = "TOO_MANY_BACKTESTS"

    def __init__(self, limit: int) -> None:
        ServiceError.__init__(
            self, f"{limit} backtests run already; try again when one of them has ended", limit=str(limit)
        )


class BacktestFailed(FailedPrecondition):
    """A backtest ended without a result."""

    reason = "BACKTEST_FAILED"


class FollowerStalled(ServiceError):
    """A follower has not read its stream within the timeout. All entries up to `sequence` were sent."""

    reason = "FOLLOWER_STALLED"

    def __init__(self, sequence: int, seconds: float) -> None:
        super().__init__(
            f"nothing was taken for {seconds:g} s; follow again from the last sequence seen", sequence=str(sequence)
        )


class ShuttingDown(ServiceError):
    """The server is stopping: it takes no commands, and leaves its symbols to others.

    `sequence` is the newest one, or the last that was sent.
    """

    reason = "SHUTTING_DOWN"

    def __init__(self, sequence: int) -> None:
        text = "the server is stopping; send the call again, or follow again from the last sequence seen"
        super().__init__(text, sequence=str(sequence))


def _below(base: type[ServiceError]) -> Iterator[type[ServiceError]]:
    """Yield `base` and all classes below it, a class before those below it."""
    yield base
    for child in base.__subclasses__():
        yield from _below(child)


_BY_REASON: Mapping[str, type[ServiceError]] = {kind.reason: kind for kind in reversed([*_below(ServiceError)])}
"""The class of each reason; of classes that share a reason, the base."""


def restored(
    reason: str, message: str, metadata: Mapping[str, str], violations: Iterable[FieldViolation] = ()
) -> ServiceError:
    """Rebuild an error of another server from its public parts.

    One of an unknown reason becomes StorageUnavailable: a newer version may have done what this one cannot name.

    Args:
        reason: names the class; ReadTimedOut comes out as Overloaded, whose reason it has.
        message, metadata, violations: those of the error.
    """
    kind = _BY_REASON.get(reason)
    if kind is None:
        return StorageUnavailable()
    error = kind.__new__(kind)
    ServiceError.__init__(error, message, **metadata)
    error.violations = tuple(violations)
    return error
