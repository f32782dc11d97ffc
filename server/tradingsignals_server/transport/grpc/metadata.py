"""Metadata of a call, and what is known of the call that is being served."""

from __future__ import annotations

from contextvars import ContextVar

REQUEST_ID_KEY = "x-request-id"

PEER_KEY = "x-tradingsignals-peer"
"""Set to the secret of their database on a call that another server makes for itself, or for a caller of its own."""

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""Id of the call that is being served; every log line that is written meanwhile carries it."""

last_event_id: ContextVar[str | None] = ContextVar("last_event_id", default=None)
"""Last event id that the caller of the stream being served has sent beside its request."""

forwarded: ContextVar[bool] = ContextVar("forwarded", default=False)


def is_forwarded() -> bool:
    """Return True while a unary call is served that another server has sent here, so that it must not be sent on."""
    return forwarded.get()
