"""The six promises on a store in memory. See tests/support/promises.py."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from hypothesis import settings
from tests.support.builders import NOW
from tests.support.memory_store import MemoryStore
from tests.support.promises import hold_the_promises

from tradingsignals_server.domain.events import Event


class ShakyMemory(MemoryStore):
    """Implements ShakyStore."""

    async def commit_elsewhere(self, events: Sequence[Event]) -> None:
        """See ShakyStore."""
        self.put(events, NOW)

    async def forget_elsewhere(self, oldest: int) -> None:
        """See ShakyStore."""
        self.oldest = oldest


@asynccontextmanager
async def in_memory() -> AsyncIterator[ShakyMemory]:
    """A new one."""
    yield ShakyMemory()


@pytest.mark.slow
def test_six_promises() -> None:
    hold_the_promises(in_memory, settings(max_examples=60, stateful_step_count=50))
