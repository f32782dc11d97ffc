"""Commands that wait for the writer, each with the future that its caller awaits."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from ...domain.errors import Overloaded, ServiceError
from ..ports.feed import BarResult
from .batch import Batch, Pending, QueuedCall
from .commands import PublishBars

MAX_PENDING = 4096
"""Commands that may wait. A single call beyond that is refused with Overloaded; a publish stream waits."""


class BarsCall(QueuedCall[list[BarResult]]):
    """Bars of a publish stream. An error that refuses them breaks the stream."""

    def __init__(self, command: PublishBars, handler: Callable[[PublishBars, Batch], Pending[list[BarResult]]]) -> None:
        super().__init__(command, handler, command.bars)
        self._stream = command.stream
        self._handler = handler

    def bar_results(self) -> Sequence[BarResult]:
        """See QueuedCall."""
        done = self.result.done() and not self.result.cancelled() and self.result.exception() is None
        return self.result.result() if done else ()

    def broken_by(self) -> Exception | None:
        """See QueuedCall."""
        return self._stream.broken_by

    def refuse(self, error: Exception) -> None:
        """See QueuedCall."""
        if self._stream.broken_by is None:
            self._stream.broken_by = error
        super().refuse(error)

    def refuse_alone(self, error: ServiceError) -> None:
        """See QueuedCall."""
        if not self.result.done():
            self.result.set_result([error] * len(self.bars))

    def divided(self) -> Sequence[QueuedCall[object]]:
        """See QueuedCall."""
        if len(self.bars) == 1:
            return [self]
        parts = [BarsCall(PublishBars((bar,), self._stream), self._handler) for bar in self.bars]
        together = asyncio.gather(*(part.result for part in parts), return_exceptions=True)
        together.add_done_callback(self._combine)
        return parts

    def _combine(self, together: asyncio.Future[list[list[BarResult] | BaseException]]) -> None:
        if self.result.done():
            return
        results: list[BarResult] = []
        for result in together.result():
            if isinstance(result, ServiceError):
                results.append(result)
            elif isinstance(result, BaseException):
                self.result.set_exception(result)
                return
            else:
                results += result
        self.result.set_result(results)


class CommandQueue:
    """Commands in the order in which they are to be handled, at most `limit`."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._commands: deque[QueuedCall[object]] = deque()
        self._room = asyncio.Semaphore(limit)
        self.is_closed = False

    def __len__(self) -> int:
        return len(self._commands)

    async def put(self, command: QueuedCall[object]) -> bool:
        """Append a command as soon as there is room; False if the queue was closed by then."""
        await self._room.acquire()
        if self.is_closed:
            self._room.release()
            return False
        self._commands.append(command)
        return True

    async def put_now(self, command: QueuedCall[object]) -> bool:
        """Append a command; False if the queue is closed.

        Raises:
            Overloaded: there is no room.
        """
        if not self.is_closed and self._room.locked():
            raise Overloaded(self._limit)
        return not self.is_closed and await self.put(command)

    def take(self, size: int, commands: int, *, is_idle: bool) -> list[QueuedCall[object]]:
        """Remove the first commands, up to `commands` and until they have `size` bars together.

        An exclusive command is taken by itself, and only if the writer is idle.
        """
        taken: list[QueuedCall[object]] = []
        while self._commands and size > 0 and len(taken) < commands:
            if self._commands[0].command.is_exclusive and (taken or not is_idle):
                break
            command = self._commands.popleft()
            self._room.release()
            taken.append(command)
            size -= command.size
            if command.command.is_exclusive:
                break
        return taken

    def take_all(self) -> list[QueuedCall[object]]:
        """Remove all commands."""
        taken = list(self._commands)
        self._commands.clear()
        for _ in taken:
            self._room.release()
        return taken
