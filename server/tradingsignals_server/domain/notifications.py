"""Endpoints of notifications: where the event log is delivered to, and when an attempt is made again."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit
from uuid import UUID

from .errors import time_text
from .events import EventKind
from .values import changed, dataclass

MAX_ENDPOINTS: Final = 100
KEPT_DELIVERIES: Final = 1000
"""Attempts that are kept of each endpoint."""

FIRST_RETRY: Final = timedelta(seconds=5)
"""After the first failure; twice as long after each further one."""
LONGEST_RETRY: Final = timedelta(minutes=5)
LONGEST_RETRY_AFTER: Final = timedelta(hours=1)
"""The longest time that a receiver may ask for with Retry-After."""
DISABLE_AFTER: Final = timedelta(days=3)
"""An endpoint to which no attempt has succeeded for so long is disabled."""

SECRET_BYTES: Final = 32
MAX_URL_CHARACTERS: Final = 2000
_GONE: Final = 410


class EndpointKind(StrEnum):
    """How an endpoint is delivered to. Names are those of tradingsignals.v1.NotificationEndpoint.Kind."""

    WEBHOOK = "WEBHOOK"


class EndpointState(StrEnum):
    """Whether an endpoint is delivered to. Names are those of tradingsignals.v1.NotificationEndpoint.State."""

    ACTIVE = "ACTIVE"
    PAUSED = "PAUSED"
    DISABLED = "DISABLED"


@dataclass(frozen=True, slots=True)
class EntryFilter:
    """Which entries of the log an endpoint gets; an empty set, or None, leaves its condition out."""

    kinds: frozenset[EventKind] = frozenset()
    symbols: frozenset[str] = frozenset()
    min_confidence: float | None = None


@dataclass(frozen=True, slots=True)
class DeliveryProgress:
    """How far an endpoint has been delivered to, and how that goes.

    cursor: entries up to this sequence are delivered, or do not pass the filter. lost: entries that were pruned before.
    failed_attempts, failing_since: since the last delivery. next_attempt_at: None if nothing has to be waited for.
    disabled_reason: "" unless it is disabled.
    """

    cursor: int
    lost: int = 0
    failed_attempts: int = 0
    failing_since: datetime | None = None
    next_attempt_at: datetime | None = None
    state: EndpointState = EndpointState.ACTIVE
    disabled_reason: str = ""

    @property
    def is_failing(self) -> bool:
        """True if the last attempt failed, or the endpoint is disabled."""
        return self.failed_attempts > 0 or self.state is EndpointState.DISABLED


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where entries of the log are delivered to.

    url, secret: may hold credentials, so neither shows in logs. The secret signs its messages. revision: counts its
    changes by callers.
    """

    id: UUID
    name: str
    kind: EndpointKind
    url: str = field(repr=False)
    secret: str = field(repr=False)
    filter: EntryFilter
    created_at: datetime
    progress: DeliveryProgress
    revision: int = 0

    @property
    def address(self) -> str:
        """What may be shown of its URL."""
        return shown_address(self.url)


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt to send a message.

    time: when it began. http_status: of the response; None if there was none. error: why it failed, "" if it did not.
    retry_after: what the receiver asked for. response: the beginning of the response's body.
    """

    time: datetime
    latency_ms: float
    http_status: int | None = None
    error: str = ""
    retry_after: timedelta | None = None
    response: str = ""


@dataclass(frozen=True, slots=True)
class Delivery:
    """An attempt to deliver an entry; `number` counts the attempts at it, from 1."""

    sequence: int
    number: int
    attempt: Attempt


def after_attempt(
    progress: DeliveryProgress, sequence: int, attempt: Attempt, now: datetime, chance: float
) -> DeliveryProgress:
    """Return the progress after an attempt to deliver the entry `sequence`.

    Args:
        progress: before it.
        sequence: of the entry.
        attempt: its result.
        now: when it ended.
        chance: random, 0..1, so that endpoints which failed together are not tried together.
    """
    if not attempt.error:
        return DeliveryProgress(sequence, progress.lost)
    failed = changed(
        progress,
        failed_attempts=progress.failed_attempts + 1,
        failing_since=progress.failing_since or attempt.time,
        next_attempt_at=None,
    )
    since = failed.failing_since or attempt.time
    if attempt.http_status == _GONE:
        return _disabled(failed, "the receiver has responded with 410 Gone")
    if now - since >= DISABLE_AFTER:
        return _disabled(failed, f"no attempt has succeeded since {time_text(since)}; the last one: {attempt.error}")
    delay = retry_delay(failed.failed_attempts, chance)
    if attempt.retry_after is not None:
        delay = max(delay, min(attempt.retry_after, LONGEST_RETRY_AFTER))
    return changed(failed, next_attempt_at=now + delay)


def retry_delay(failed_attempts: int, chance: float) -> timedelta:
    """Return how long to wait after a number of failed attempts, at least one; `chance` is random, 0..1."""
    doubled: timedelta = FIRST_RETRY * 2 ** min(failed_attempts - 1, 16)
    return min(doubled, LONGEST_RETRY) * (0.5 + chance / 2)


def _disabled(progress: DeliveryProgress, reason: str) -> DeliveryProgress:
    return changed(progress, state=EndpointState.DISABLED, disabled_reason=reason)


def secret_text(random_bytes: bytes) -> str:
    """Return a secret as Standard Webhooks writes it, made of SECRET_BYTES random bytes."""
    if len(random_bytes) != SECRET_BYTES:
        raise ValueError(f"a secret is made of {SECRET_BYTES} random bytes")
    return f"whsec_{b64encode(random_bytes).decode()}"


def webhook_problem(url: str, *, allow_http: bool) -> str | None:
    """Return why a URL cannot be that of a webhook; None if it can. Without `allow_http` it must be encrypted."""
    if len(url) > MAX_URL_CHARACTERS:
        return f"must have at most {MAX_URL_CHARACTERS} characters"
    if not (url.isascii() and url.isprintable()) or " " in url:
        return "must be printable characters of ASCII without spaces"
    try:
        parts = urlsplit(url)
        is_known = bool(parts.hostname) and parts.port != 0 and not parts.fragment
    except ValueError:
        return "is not a URL"
    if parts.scheme not in ({"https", "http"} if allow_http else {"https"}) or not is_known:
        return "must be https:// and a host, as in https://desk.example/signals"
    return None


def shown_address(url: str) -> str:
    """Return scheme, host and port of a URL: what comes after may be a secret."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port else "")
