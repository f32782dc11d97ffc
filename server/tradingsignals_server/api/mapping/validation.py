"""What requests may hold: every bound of the contract, checked here, before any work, all violations at once."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable, Sequence, Sized
from datetime import UTC, datetime
from types import TracebackType
from typing import Self, TypeVar
from uuid import UUID

from google.protobuf.message import DecodeError

from tradingsignals.v1 import event_service_pb2, position_service_pb2, signal_pb2, signal_service_pb2
from tradingsignals.v1.event_pb2 import Event as EventMessage

from ...application.decision.quotes import LOOKBACK_MAXIMUM, LOOKBACK_MINIMUM
from ...application.event_log.replay import Replay
from ...application.event_log.tail import Filter
from ...domain.bars import parse_symbol, price_problem
from ...domain.errors import FieldViolation, InvalidRequest, MalformedMessage
from ...domain.events import EventKind
from ...domain.signals import Action, reached_from

DEFAULT_SYMBOL = "USDCOP"
DEFAULT_HEARTBEAT_SECONDS = 15
MAXIMUM_HEARTBEAT_SECONDS = 60
MAXIMUM_FILTER_SYMBOLS = 1000
MAXIMUM_FILTER_NAMES = 100
"""Actions or kinds in a filter, repeated ones counted."""
MAXIMUM_REPLAY_SPEED = 1e6
MAXIMUM_SEQUENCE = 2**63 - 1

LAST_EVENT_ID = "last-event-id"
"""Metadata of a call, and header of a REST call: the `id` of the last server-sent event that a browser has seen."""

_DIGITS = re.compile("[0-9]{1,19}")

Named = TypeVar("Named")
Asked = TypeVar("Asked")
Parse = Callable[[bytes], Asked]


def message_of(parse: Parse[Asked], sent: bytes, index: int = 0) -> Asked:
    """The message that was sent; `index` is its place among those of the call.

    Raises:
        MalformedMessage: it is none.
    """
    try:
        return parse(sent)
    except DecodeError:
        raise MalformedMessage(index) from None


async def messages_of(parse: Parse[Asked], sent: AsyncIterable[bytes]) -> AsyncGenerator[Asked]:
    """The messages of a stream as they come, up to the first that is none; see `message_of`."""
    index = 0
    async for one in sent:
        yield message_of(parse, one, index)
        index += 1


class Checks:
    """Collects violations; as a context manager it raises them together at the end.

    Each check returns the checked value, or a stand-in that is never used if there was a violation.
    """

    def __init__(self) -> None:
        self._violations: list[FieldViolation] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None and self._violations:
            raise InvalidRequest(self._violations)

    def refuse(self, field: str, description: str) -> None:
        """Note a violation."""
        self._violations.append(FieldViolation(field, description))

    def symbol(self, text: str, *, default: str | None = None, field: str = "symbol") -> str | None:
        """A symbol in its normal form; `default` if it is empty."""
        if not text:
            return default
        try:
            return parse_symbol(text, field=field)
        except InvalidRequest as error:
            self._violations.extend(error.violations)
            return default

    def whole(self, value: int, field: str, low: int, high: int) -> int:
        """A whole number from `low` to `high`."""
        if not low <= value <= high:
            self.refuse(field, f"must be from {low} to {high}")
        return value

    def sequence(self, text: str, field: str) -> int:
        """The sequence that `text` writes, a whole number from 0 on."""
        if _DIGITS.fullmatch(text) and int(text) <= MAXIMUM_SEQUENCE:
            return int(text)
        self.refuse(field, f"must be a whole number from 0 to {MAXIMUM_SEQUENCE}")
        return 0

    def probability(self, value: float, field: str) -> float:
        """A number from 0 to 1."""
        if not 0.0 <= value <= 1.0:
            self.refuse(field, "must be from 0 to 1")
        return value

    def price(self, value: float, field: str) -> float:
        """A price."""
        if (problem := price_problem(value)) is not None:
            self.refuse(field, problem)
        return value

    def date(self, text: str, field: str) -> datetime | None:
        """A date or an RFC 3339 time, in UTC; None if it is empty."""
        if not text:
            return None
        try:
            time = datetime.fromisoformat(text)
            return (time if time.tzinfo is not None else time.replace(tzinfo=UTC)).astimezone(UTC)
        except (ValueError, OverflowError):
            self.refuse(field, 'must be a date ("2025-06-30") or an RFC 3339 time ("2025-06-30T13:00:00Z")')
            return None

    def uuid(self, text: str, field: str) -> UUID:
        """A UUID."""
        try:
            return UUID(text)
        except ValueError:
            self.refuse(field, "must be a UUID")
            return UUID(int=0)

    def action(self, value: int, field: str) -> Action:
        """BUY, SELL or HOLD."""
        return self._named(value, field, signal_pb2.Signal.Action.keys(), signal_pb2.Signal.Action.Name, Action)

    def kind(self, value: int, field: str) -> EventKind:
        """A kind of event."""
        return self._named(value, field, EventMessage.Kind.keys(), EventMessage.Kind.Name, EventKind)

    def _named(
        self, value: int, field: str, names: Iterable[str], name_of: Callable[..., str], type_: Callable[[str], Named]
    ) -> Named:
        known = [name for name in names if not name.endswith("_UNSPECIFIED")]
        try:
            return type_(name_of(value))
        except ValueError:
            self.refuse(field, f"must be one of {', '.join(known)}")
            return type_(known[0])

    def symbols(self, texts: Sequence[str]) -> frozenset[str]:
        """The instruments of a filter."""
        if not self.count(texts, "symbols", MAXIMUM_FILTER_SYMBOLS):
            return frozenset()
        found = frozenset(self.symbol(text, field=f"symbols[{i}]") or "" for i, text in enumerate(texts))
        if "" in found:
            self.refuse("symbols", "must not hold an empty or malformed symbol")
        return found

    def count(self, elements: Sized, field: str, most: int) -> bool:
        """Check how many elements a list has, before any of them is looked at."""
        if len(elements) > most:
            self.refuse(field, f"must be at most {most}")
        return len(elements) <= most


def lookback_of(request: signal_service_pb2.GenerateSignalFromDbRequest, checks: Checks, default: int) -> int:
    """How many stored bars to look at."""
    if not request.HasField("lookback_bars"):
        return default
    return checks.whole(request.lookback_bars, "lookback_bars", LOOKBACK_MINIMUM, LOOKBACK_MAXIMUM)


FollowRequest = (
    signal_service_pb2.StreamSignalsRequest
    | position_service_pb2.StreamPositionsRequest
    | event_service_pb2.StreamEventsRequest
)


Subscription = tuple[Filter, int | None, float, Replay | None]
"""What a follower wants: its filter, after which sequence, its heartbeat in seconds, and what to replay."""


def subscription(request: FollowRequest, last_event_id: str | None = None) -> Subscription:
    """What a follower wants. It resumes after `last_event_id`, if there is one, whatever the request says.

    Raises:
        InvalidRequest: a field is out of its bounds.
    """
    with Checks() as checks:
        heartbeat = DEFAULT_HEARTBEAT_SECONDS
        if request.HasField("heartbeat_seconds"):
            heartbeat = checks.whole(request.heartbeat_seconds, "heartbeat_seconds", 1, MAXIMUM_HEARTBEAT_SECONDS)
        resume_after = None
        if request.HasField("resume_after"):
            resume_after = checks.whole(request.resume_after, "resume_after", 0, MAXIMUM_SEQUENCE)
        if last_event_id is not None:
            resume_after = checks.sequence(last_event_id, LAST_EVENT_ID)
        symbols = checks.symbols(request.symbols)
        wanted = _filter(request, symbols, checks)
        replay = _replay(request, checks) if isinstance(request, event_service_pb2.StreamEventsRequest) else None
    return wanted, resume_after, float(heartbeat), replay


def _replay(request: event_service_pb2.StreamEventsRequest, checks: Checks) -> Replay | None:
    start, end = checks.date(request.start_time, "start_time"), checks.date(request.end_time, "end_time")
    if start is not None and end is not None and end <= start:
        checks.refuse("end_time", "must be after start_time")
    speed = request.speed
    if not 0.0 <= speed <= MAXIMUM_REPLAY_SPEED:
        checks.refuse("speed", f"must be from 0 to {MAXIMUM_REPLAY_SPEED:.0f}")
    if request.start_time or request.end_time:
        return Replay(start, end, speed)
    if speed:
        checks.refuse("speed", "is that of a replay: it needs start_time or end_time")
    return None


def _filter(request: FollowRequest, symbols: frozenset[str], checks: Checks) -> Filter:
    if isinstance(request, position_service_pb2.StreamPositionsRequest):
        return Filter(kinds=frozenset({EventKind.POSITION_UPDATE}), symbols=symbols)
    confidence = None
    if request.HasField("min_confidence"):
        confidence = reached_from(checks.probability(request.min_confidence, "min_confidence"))
    if isinstance(request, signal_service_pb2.StreamSignalsRequest):
        actions = _names(request.actions, "actions", checks.action, checks)
        return Filter(frozenset({EventKind.SIGNAL}), symbols, confidence, actions)
    return Filter(_names(request.kinds, "kinds", checks.kind, checks), symbols, confidence)


def _names(values: Sequence[int], field: str, check: Callable[[int, str], Named], checks: Checks) -> frozenset[Named]:
    """The values of an enum in a filter."""
    if not checks.count(values, field, MAXIMUM_FILTER_NAMES):
        return frozenset()
    return frozenset(check(value, f"{field}[{i}]") for i, value in enumerate(values))
