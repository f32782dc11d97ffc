"""Answers that are long lists: of messages that were serialised when they were committed, and little else."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.message import Message

from ..domain.events import EventKind
from . import wire
from .json_text import json_text
from .text_answers import json_body, noun_text

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
        texts: list[bytes] = []
        for start in range(0, len(self.messages), WRITTEN_AT_ONCE):
            texts += [noun_text(self.kind, message) for message in self.messages[start : start + WRITTEN_AT_ONCE]]
            await asyncio.sleep(0)
        # The list is the first field, and empty in the rest.
        name, _, rest = json_text(self.rest).encode().partition(b"[]")
        return json_body(name + b"[" + b",".join(texts) + b"]" + rest)


class JsonServicer:
    """tradingsignals.edge.v1.JsonService: the lists of other servicers as text."""

    def __init__(self, signals: Any, positions: Any) -> None:
        self._signals = signals
        self._positions = positions

    async def list_signals(self, request: Any) -> bytes:
        """A page of signals."""
        listing: Listing = await self._signals.list_signals(request)
        return await listing.text()

    async def list_active_positions(self, request: Any) -> bytes:
        """Every open position."""
        listing: Listing = await self._positions.list_active_positions(request)
        return await listing.text()

    async def list_closed_positions(self, request: Any) -> bytes:
        """A page of closed positions."""
        listing: Listing = await self._positions.list_closed_positions(request)
        return await listing.text()
