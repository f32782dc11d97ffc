"""What requests may hold: every bound of the contract, checked here, before any work, all violations at once."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Mapping, Sequence, Sized
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self, TypeVar
from uuid import UUID

from google.protobuf.message import DecodeError, Message

from tradingsignals.v1 import access_pb2, account_service_pb2, outcome_pb2, signal_pb2
from tradingsignals.v1.event_pb2 import Event as EventMessage

from ...application.event_log.filter import Filter
from ...application.event_log.follower import StreamRequest
from ...application.event_log.replay import Replay
from ...application.ports.account import EquityResolution
from ...domain.access import Role
from ...domain.bars import price_problem
from ...domain.errors import FieldViolation, InvalidRequest, MalformedMessage
from ...domain.events import EventKind
from ...domain.notifications import EntryFilter
from ...domain.outcomes import Fill, Resolution
from ...domain.signals import Action, Origin, reached_from
from ...domain.symbols import parse_symbol
from ...transport.grpc.metadata import LAST_EVENT_ID_KEY
from .bounds import MAXIMUM_SEQUENCE, greatest_length, number_bounds

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

    def number(self, request: Message, field: str) -> Any:
        """A number of a request within its declared bounds, or its declared default if it is absent."""
        bounds = number_bounds(request.DESCRIPTOR.name, field)
        if bounds is None:
            raise KeyError(f"{request.DESCRIPTOR.name}.{field}")
        if not request.HasField(field):
            return bounds.default
        value = getattr(request, field)
        if not bounds.low <= value <= bounds.high:
            self.refuse(field, f"must be from {_written(bounds.low)} to {_written(bounds.high)}")
        return value

    def sequence(self, text: str, field: str) -> int:
        """The sequence that `text` writes, a whole number from 0 on."""
        if _DIGITS.fullmatch(text) and int(text) <= MAXIMUM_SEQUENCE:
            return int(text)
        self.refuse(field, f"must be a whole number from 0 to {MAXIMUM_SEQUENCE}")
        return 0

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

    def period(self, start: str, end: str, of: str = "date") -> tuple[datetime | None, datetime | None]:
        """The bounds `start_date` and `end_date` of what is asked for; the second must be after the first."""
        first, last = self.date(start, f"start_{of}"), self.date(end, f"end_{of}")
        if first is not None and last is not None and last <= first:
            self.refuse(f"end_{of}", f"must be after start_{of}")
        return first, last

    def line(self, text: str, field: str, most: int) -> str:
        """Check a text of one line, and return it without the space around it."""
        line = text.strip()
        if len(line) > most:
            self.refuse(field, f"must have at most {most} characters")
        elif not line.isprintable():
            self.refuse(field, "must be one line of printable characters")
        return line

    def uuid(self, text: str, field: str) -> UUID:
        """A UUID."""
        try:
            return UUID(text)
        except ValueError:
            self.refuse(field, "must be a UUID")
            return UUID(int=0)

    def action(self, value: int, field: str) -> Action:
        """BUY, SELL or HOLD."""
        return self.named(value, field, signal_pb2.Signal.Action, Action)

    def origin(self, value: int, field: str) -> Origin:
        """What caused a signal."""
        return self.named(value, field, signal_pb2.Signal.Origin, Origin)

    def kind(self, value: int, field: str) -> EventKind:
        """A kind of event."""
        return self.named(value, field, EventMessage.Kind, EventKind)

    def resolution(self, value: int, field: str) -> Resolution:
        """How an outcome ended."""
        return self.named(value, field, outcome_pb2.Outcome.Resolution, Resolution)

    def fill(self, value: int, field: str) -> Fill:
        """At which price an outcome is filled."""
        return self.named(value, field, outcome_pb2.Outcome.Fill, Fill)

    def role(self, value: int, field: str) -> Role:
        """A role."""
        return self.named(value, field, access_pb2.ApiKey.Role, lambda name: Role(name.lower()))

    def equity_resolution(self, value: int, field: str) -> EquityResolution:
        """Equity by bar or by day."""
        return self.named(value, field, account_service_pb2.ListEquityRequest.Resolution, EquityResolution)

    def named(self, value: int, field: str, values: Any, type_: Callable[[str], Named]) -> Named:
        """A value of an enum of the contract, as the member of `type_` with its name."""
        known = [name for name in values.keys() if not name.endswith("_UNSPECIFIED")]  # noqa: SIM118 - it is no mapping
        try:
            return type_(values.Name(value))
        except ValueError:
            self.refuse(field, f"must be one of {', '.join(known)}")
            return type_(known[0])

    def symbols(self, texts: Sequence[str]) -> frozenset[str]:
        """The instruments of a filter."""
        if not self.count(texts, "symbols"):
            return frozenset()
        found = frozenset(self.symbol(text, field=f"symbols[{i}]") or "" for i, text in enumerate(texts))
        if "" in found:
            self.refuse("symbols", "must not hold an empty or malformed symbol")
        return found

    def count(self, elements: Sized, field: str, message: str = "") -> bool:
        """Check how many elements a list of a message has, before any of them is looked at."""
        most = greatest_length(message, field)
        if most is None:
            raise KeyError(f"{message}.{field}")
        if len(elements) > most:
            self.refuse(field, f"must be at most {most}")
        return len(elements) <= most


def stream_request(
    message: Message, kinds: frozenset[EventKind] = frozenset(), last_event_id: str | None = None
) -> StreamRequest:
    """Convert the request of a stream, whose fields have the same names and meaning wherever they occur.

    Args:
        message: the request.
        kinds: the kinds of entry that the stream sends; empty: those that the request names, or all.
        last_event_id: where to resume, whatever the request says.

    Raises:
        InvalidRequest: a field is out of its bounds.
    """
    given = {field.name: value for field, value in message.ListFields()}
    with Checks() as checks:
        heartbeat = checks.number(message, "heartbeat_seconds")
        resume_after = checks.number(message, "resume_after")
        if last_event_id is not None:
            resume_after = checks.sequence(last_event_id, LAST_EVENT_ID_KEY)
        filter_ = _filter(message, given, kinds, checks)
        replay = _replay(message, given, checks)
    return StreamRequest(filter_, resume_after, float(heartbeat), replay)


def _filter(message: Message, given: Mapping[str, Any], kinds: frozenset[EventKind], checks: Checks) -> Filter:
    symbols = checks.symbols(given.get("symbols", ()))
    confidence = None
    if "min_confidence" in given:
        confidence = reached_from(checks.number(message, "min_confidence"))
    actions = _names(given.get("actions", ()), "actions", checks.action, checks)
    return Filter(kinds or _names(given.get("kinds", ()), "kinds", checks.kind, checks), symbols, confidence, actions)


def entry_filter(message: Message, field: str) -> EntryFilter:
    """Convert the filter of an endpoint, which is in the field `field` of its request.

    Raises:
        InvalidRequest: a field is out of its bounds.
    """
    given = {each.name: value for each, value in message.ListFields()}
    try:
        with Checks() as checks:
            found = _filter(message, given, frozenset(), checks)
    except InvalidRequest as error:
        raise InvalidRequest([FieldViolation(f"{field}.{v.field}", v.description) for v in error.violations]) from None
    return EntryFilter(found.kinds, found.symbols, given.get("min_confidence"))


def _replay(message: Message, given: Mapping[str, Any], checks: Checks) -> Replay | None:
    start, end = checks.period(given.get("start_time", ""), given.get("end_time", ""), "time")
    speed = checks.number(message, "speed") if "speed" in given else 0.0
    if "start_time" in given or "end_time" in given:
        return Replay(start, end, speed)
    if speed:
        checks.refuse("speed", "is that of a replay: it needs start_time or end_time")
    return None


def _names(values: Sequence[int], field: str, check: Callable[[int, str], Named], checks: Checks) -> frozenset[Named]:
    """The values of an enum in a filter."""
    if not checks.count(values, field):
        return frozenset()
    return frozenset(check(value, f"{field}[{i}]") for i, value in enumerate(values))


def _written(number: float) -> str:
    """A bound as a message names it."""
    return str(number) if isinstance(number, int) else f"{number:.15g}"
