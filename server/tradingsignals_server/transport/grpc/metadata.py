"""Metadata of a call, and what is known of the call that is being served."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextvars import ContextVar
from uuid import uuid4

REQUEST_ID_KEY = "x-request-id"

LAST_EVENT_ID_KEY = "last-event-id"
"""Set by a browser that connects again: the `id` of the last server-sent event that it has received."""

PEER_KEY = "x-tradingsignals-peer"
"""Set to the secret of their database on a call that another server makes for itself, or for a caller of its own."""

TRACEPARENT_KEY = "traceparent"
"""The span that a call belongs to (W3C Trace Context)."""

IDEMPOTENCY_KEY = "idempotency-key"
"""Set by a caller that may repeat its call, so that the call is done once."""

REPLAYED_KEY = "idempotency-replayed"
"""Set to "true" on the response of a call that was done before."""
REPLAYED = (REPLAYED_KEY, "true")

CALLER_KEY = "x-tradingsignals-caller"
"""Set by another server to the identity of the caller for which it makes the call."""

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""Id of the call that is being served; every log line that is written meanwhile carries it."""

trace_id: ContextVar[str] = ContextVar("trace_id", default="")
"""Id of the trace that the call being served belongs to, in its log lines; "" if it belongs to none."""

last_event_id: ContextVar[str | None] = ContextVar("last_event_id", default=None)
"""Last event id that the caller of the stream being served has sent beside its request."""

idempotency_key: ContextVar[str | None] = ContextVar("idempotency_key", default=None)
"""What the caller of the unary call being served has sent as IDEMPOTENCY_KEY, unchecked."""

forwarded_caller: ContextVar[str] = ContextVar("forwarded_caller", default="")
"""The caller for which another server has forwarded the unary call being served."""

response_metadata: ContextVar[Sequence[tuple[str, str]]] = ContextVar("response_metadata", default=())
"""Initial metadata of the response; set by what serves the unary call, in its own task."""

forwarded: ContextVar[bool] = ContextVar("forwarded", default=False)

_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")

REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")
"""What a caller may send as the id of its call; any other is replaced."""


def is_forwarded() -> bool:
    """Return True while a unary call is served that another server has sent here, so that it must not be sent on."""
    return forwarded.get()


def request_id_of(sent: str | None) -> str:
    """Return the request id that a caller has sent, or a new one if it has sent none that is legal."""
    return sent if sent is not None and REQUEST_ID.fullmatch(sent) else str(uuid4())


def trace_id_of(traceparent: str | None) -> str:
    """Return the id of the trace that a caller names; "" if it names none."""
    found = None if traceparent is None else _TRACEPARENT.fullmatch(traceparent)
    return "" if found is None else found[1]


def text_of(value: bytes | str | None) -> str | None:
    """Return the value of a metadata key as text."""
    return value.decode("latin-1") if isinstance(value, bytes) else value
