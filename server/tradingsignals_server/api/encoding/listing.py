"""Responses that are long lists: of messages that were serialised when they were committed, and little else."""

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
from .stream_text import item_text, json_body

T = TypeVar("T")

ITEMS_A_TURN: Final = 64
"""Items written as text before other tasks have their turn: some two milliseconds."""


@dataclass(frozen=True, slots=True)
class Listing:
    """A response with a list: its items, and `rest`, the response without them."""

    kind: EventKind
    messages: Sequence[bytes]
    rest: Message

    def serialised(self) -> bytes:
        """The response as gRPC sends it."""
        return wire.records(self.messages) + self.rest.SerializeToString()

    async def text(self) -> bytes:
        """The response as JSON, in a google.api.HttpBody."""
        return await list_body(self.messages, partial(item_text, self.kind), self.rest)


async def list_body(items: Sequence[T], write: Callable[[T], bytes], rest: Message) -> bytes:
    """A response whose first field is a list, in a google.api.HttpBody; `rest` is the response with an empty list.

    Other tasks have their turn after every ITEMS_A_TURN items.
    """
    texts: list[bytes] = []
    for start in range(0, len(items), ITEMS_A_TURN):
        texts += [write(item) for item in items[start : start + ITEMS_A_TURN]]
        await asyncio.sleep(0)
    name, _, others = json_text(rest).encode().partition(b"[]")
    return json_body(name + b"[" + b",".join(texts) + b"]" + others)
