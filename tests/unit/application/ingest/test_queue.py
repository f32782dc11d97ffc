"""The queue of commands: order, size, exclusive commands, and its end."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from tests.support.builders import walk

from tradingsignals_server.application.ingest.batch import Batch, QueuedCall
from tradingsignals_server.application.ingest.commands import Command, PublishBars, PublishStream, ReleaseSymbols
from tradingsignals_server.application.ingest.queue import BarsCall, CommandQueue
from tradingsignals_server.application.ports.event_log import LogEntry
from tradingsignals_server.application.ports.feed import BarResult
from tradingsignals_server.domain.errors import Overloaded

WALK = walk(20)


class NoResults:
    """The results of no bars."""

    def confirmed(self, entries: Sequence[LogEntry], through: int) -> list[BarResult]:
        """See Pending."""
        return []


def handle(command: Command, batch: Batch) -> NoResults:
    return NoResults()


def bars(count: int) -> QueuedCall[object]:
    return BarsCall(PublishBars(WALK[:count], PublishStream()), handle)


def exclusive() -> QueuedCall[object]:
    return QueuedCall(ReleaseSymbols(()), handle)


async def queue_of(*calls: QueuedCall[object], limit: int = 10) -> CommandQueue:
    queue = CommandQueue(limit)
    for call in calls:
        assert await queue.put(call)
    return queue


async def test_commands_are_taken_in_order_until_they_have_the_size() -> None:
    calls = [bars(2), bars(3), bars(1)]
    queue = await queue_of(*calls)
    assert queue.take(3, 3, is_idle=True) == calls[:2]
    assert queue.take(3, 3, is_idle=True) == calls[2:]


async def test_no_more_commands_are_taken_than_requested() -> None:
    calls = [bars(1), bars(1), bars(1)]
    queue = await queue_of(*calls)
    assert queue.take(64, 2, is_idle=True) == calls[:2]


async def test_exclusive_command_is_taken_alone_and_only_if_the_writer_is_idle() -> None:
    before, alone, behind = bars(1), exclusive(), bars(1)
    queue = await queue_of(before, alone, behind)
    assert queue.take(64, 3, is_idle=True) == [before]
    assert queue.take(64, 3, is_idle=False) == []
    assert queue.take(64, 3, is_idle=True) == [alone]
    assert queue.take(64, 3, is_idle=False) == [behind]


async def test_full_queue_refuses_a_call_and_accepts_one_once_it_has_space() -> None:
    queue = await queue_of(bars(1), bars(1), limit=2)
    with pytest.raises(Overloaded):
        await queue.put_now(exclusive())
    queue.take(1, 1, is_idle=True)
    assert await queue.put_now(exclusive())
    assert len(queue) == 2


@pytest.mark.parametrize("take", ["take", "take_all"])
async def test_publisher_waits_for_space_and_keeps_its_turn(take: str) -> None:
    queue = await queue_of(bars(1), limit=1)
    waiting = asyncio.create_task(queue.put(bars(1)))
    await asyncio.sleep(0)
    assert not waiting.done()
    if take == "take":
        queue.take(1, 1, is_idle=True)
    else:
        queue.take_all()
    assert await waiting
    assert len(queue) == 1


async def test_closed_queue_accepts_nothing_and_keeps_what_it_has() -> None:
    queue = await queue_of(bars(1), limit=1)
    waiting = asyncio.create_task(queue.put(bars(1)))
    await asyncio.sleep(0)
    queue.is_closed = True
    assert not await queue.put_now(exclusive())
    assert len(queue.take(1, 1, is_idle=True)) == 1
    assert not await waiting
    assert not await queue.put(bars(1))
    assert len(queue) == 0
