"""Answers that are long lists: of messages that were serialised when they were committed, and little else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar

from google.protobuf.message import Message

from ...domain.events import EventKind
from . import wire
from .json_text import json_text
from .text_responses import json_body, noun_text

T = TypeVar("T")

WRITTEN_AT_ONCE: Final = 64
"""Nouns written as text before others have their turn: some two milliseconds."""


@dataclass(frozen=True, slots=True)
class Listing:
    """A list answer: its nouns, and `rest`, the answer without them."""

    kind: EventKind
    messages: Sequence[bytes]
    rest: Message

    def serialised(self) -> bytes:
        """The answer as gRPC sends it."""
        return wire.records(self.messages) + self.rest.SerializeToString()

    async def text(self) -> bytes:
        """The answer as JSON, in a google.api.HttpBody."""
        return await list_body(self.messages, partial(noun_text, self.kind), self.rest)


async def list_body(items: Sequence[T], write: Callable[[T], bytes], rest: Message) -> bytes:
    """A response whose first field is a list, in a google.api.HttpBody; `rest` is the response with an empty list.

    Others have their turn after every WRITTEN_AT_ONCE items.
    """
    texts: list[bytes] = []
    for start in range(0, len(items), WRITTEN_AT_ONCE):
        texts += [write(item) for item in items[start : start + WRITTEN_AT_ONCE]]
        await asyncio.sleep(0)
    name, _, others = json_text(rest).encode().partition(b"[]")
    return json_body(name + b"[" + b",".join(texts) + b"]" + others)
