"""Commands that wait for the writer, each with the future that its caller awaits."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar

from ...domain.errors import Overloaded, ServiceError
from ..ports.event_log import LogEntry
from ..ports.feed import BarResult
from .batch import Batch, QueuedCommand
from .commands import Command, PublishBars

C = TypeVar("C", bound=Command)
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)

MAX_PENDING = 4096
"""Commands that may wait. A single call beyond that is refused with Overloaded; a publish stream waits."""


class Pending(Protocol[R_co]):
    """The result of a command that is staged."""

    def confirmed(self, entries: Sequence[LogEntry], through: int) -> R_co:
        """Return the result, given the committed entries of the batch and the newest sequence that is durable."""
        ...


Handler = Callable[[C, Batch], Pending[R]]
"""Stages the events of a command in a batch, or raises the ServiceError that refuses it."""


class QueuedCall(QueuedCommand, Generic[C, R]):
    """A command, its handler, and the future of its result."""

    def __init__(self, command: C, handler: Handler[C, R]) -> None:
        super().__init__(command, command.bars if isinstance(command, PublishBars) else ())
        self.result: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        # A caller that has gone away reads no exception, and that is nothing to warn about.
        self.result.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._command = command
        self._handler = handler
        self._staged: Pending[R] | ServiceError | None = None

    @property
    def is_done(self) -> bool:
        """See QueuedCommand."""
        return self.result.done()

    def handle(self, batch: Batch) -> None:
        """See QueuedCommand."""
        self._staged = self._handler(self._command, batch)

    def confirm(self, entries: Sequence[LogEntry], through: int) -> None:
        """See QueuedCommand."""
        if isinstance(self._staged, ServiceError):
            self.refuse(self._staged)
        elif self._staged is not None and not self.is_done:
            self.result.set_result(self._staged.confirmed(entries, through))

    def refuse(self, error: Exception) -> None:
        """See QueuedCommand."""
        if not self.is_done:
            self.result.set_exception(error)

    def refuse_when_durable(self, error: ServiceError) -> None:
        """See QueuedCommand."""
        self._staged = error


class BarsCall(QueuedCall[PublishBars, list[BarResult]]):
    """Bars of a publish stream."""

    def broken_by(self) -> Exception | None:
        """See QueuedCommand."""
        return self._command.stream.broken_by

    def refuse(self, error: Exception) -> None:
        """See QueuedCommand. The stream of the bars is broken by it."""
        if self._command.stream.broken_by is None:
            self._command.stream.broken_by = error
        super().refuse(error)

    def refuse_alone(self, error: ServiceError) -> None:
        """See QueuedCommand."""
        if not self.is_done:
            self.result.set_result([error] * len(self.bars))

    def divided(self) -> Sequence[QueuedCommand]:
        """See QueuedCommand."""
        if len(self.bars) == 1:
            return [self]
        stream = self._command.stream
        parts = [BarsCall(PublishBars((bar,), stream), self._handler) for bar in self.bars]
        together = asyncio.gather(*(part.result for part in parts), return_exceptions=True)
        together.add_done_callback(self._combine)
        return parts

    def _combine(self, together: asyncio.Future[list[list[BarResult] | BaseException]]) -> None:
        if self.is_done:
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
        self._commands: deque[QueuedCommand] = deque()
        self._room = asyncio.Semaphore(limit)
        self.is_closed = False

    def __len__(self) -> int:
        return len(self._commands)

    async def put(self, command: QueuedCommand) -> bool:
        """Append a command as soon as there is room; False if the queue was closed by then."""
        await self._room.acquire()
        if self.is_closed:
            self._room.release()
            return False
        self._commands.append(command)
        return True

    async def put_now(self, command: QueuedCommand) -> bool:
        """Append a command; False if the queue is closed.

        Raises:
            Overloaded: there is no room.
        """
        if not self.is_closed and self._room.locked():
            raise Overloaded(self._limit)
        return not self.is_closed and await self.put(command)

    def take(self, size: int, commands: int, *, is_idle: bool) -> list[QueuedCommand]:
        """Remove the first commands, up to `commands` and until they have `size` bars together.

        An exclusive command is taken by itself, and only if the writer is idle.
        """
        taken: list[QueuedCommand] = []
        while self._commands and size > 0 and len(taken) < commands:
            if self._commands[0].is_exclusive and (taken or not is_idle):
                break
            command = self._commands.popleft()
            self._room.release()
            taken.append(command)
            size -= command.size
            if command.is_exclusive:
                break
        return taken

    def take_all(self) -> list[QueuedCommand]:
        """Remove all commands."""
        taken = list(self._commands)
        self._commands.clear()
        for _ in taken:
            self._room.release()
        return taken
