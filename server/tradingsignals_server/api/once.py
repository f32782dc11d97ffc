"""Calls with an idempotency key: what a caller has sent becomes the key of a call of the engine."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from hashlib import sha256
from typing import TypeVar

from google.protobuf.message import Message

from ..application.access.current import current_caller
from ..application.ingest.once import Once
from ..application.ports.idempotency import CallKey, KeyedRequest
from ..domain.errors import InvalidRequest
from ..domain.idempotency import is_key
from ..transport.grpc.metadata import (
    IDEMPOTENCY_KEY,
    REPLAYED,
    forwarded_caller,
    idempotency_key,
    is_forwarded,
    response_metadata,
)
from .contract import method_of

R = TypeVar("R")


class RunOnce:
    """Runs calls of servicers, those with an idempotency key once."""

    def __init__(self, once: Once) -> None:
        self._once = once

    async def __call__(
        self, request: Message, encode: Callable[[R], bytes], call: Callable[[CallKey[R] | None], Awaitable[R]]
    ) -> bytes:
        """Return the serialised response of a call.

        Args:
            request: of the caller, valid.
            encode: makes the response of the call's result.
            call: does the work. It gets the key, which the engine commits with the effect; None without one.

        Raises:
            InvalidRequest: the key is none that can be.
            IdempotencyKeyReused: the caller has used it for another request.
        """
        sent = sent_key()
        if sent is None:
            return encode(await call(None))
        caller = forwarded_caller.get() if is_forwarded() else current_caller.get().identity
        request_hash = sha256(request.SerializeToString(deterministic=True)).digest()
        keyed = KeyedRequest(caller, sent, method_of(request.DESCRIPTOR).full_name, request_hash)
        key = CallKey(keyed, encode)
        done = await self._once.run(key, partial(call, key))
        if done.is_replayed:
            response_metadata.set((REPLAYED,))
        return done.response


def sent_key() -> str | None:
    """Return the idempotency key of the call that is being served; None if it has none.

    Raises:
        InvalidRequest: it is none that can be.
    """
    sent = idempotency_key.get()
    if sent is not None and not is_key(sent):
        rule = "must be one key of 1 to 128 visible characters of ASCII without commas"
        raise InvalidRequest.field(IDEMPOTENCY_KEY, rule)
    return sent
