"""Following: the answers of a server stream, handed out one item at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Generic, Protocol, Self, TypeVar

import grpc

from .errors import from_rpc_error


class Sequenced(Protocol):
    """What has a place in the event log."""

    sequence: int


T = TypeVar("T", bound=Sequenced)


class _Cursor(Generic[T]):
    """The items of the newest answer that have not been handed out yet."""

    def __init__(self, items_of: Callable[[Any], Iterable[T]]) -> None:
        self._items_of = items_of
        self._waiting: deque[T] = deque()
        self._answer_through = 0
        self._through: int | None = None

    @property
    def through_sequence(self) -> int | None:
        """Everything up to here was handed out: pass it as `resume_after` to go on from here. None: nothing yet."""
        return self._through

    def _take(self, answer: Any) -> None:
        self._waiting.extend(self._items_of(answer))
        self._answer_through = answer.through_sequence
        if not self._waiting:  # a heartbeat
            self._advance(self._answer_through)

    def _hand_out(self) -> T:
        item = self._waiting.popleft()
        self._advance(item.sequence if self._waiting else self._answer_through)
        return item

    def _advance(self, sequence: int) -> None:
        self._through = max(sequence, self._through or 0)


class AsyncStream(_Cursor[T]):
    """Items as they come, `async for item in stream`, to the end of a replay or without end; heartbeats are not shown.

    As a context manager it waits until the service has taken up the subscription, and ends it on leaving. Iterating
    raises a TradingSignalsError when the stream breaks.
    """

    def __init__(self, call: Any, items_of: Callable[[Any], Iterable[T]]) -> None:
        super().__init__(items_of)
        self._call = call

    async def __aenter__(self) -> Self:
        try:
            await self._call.wait_for_connection()
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from error
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.cancel()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        while not self._waiting:
            try:
                answer = await self._call.read()
            except grpc.aio.AioRpcError as error:
                raise from_rpc_error(error) from error
            if answer is grpc.aio.EOF:  # type: ignore[attr-defined] # its types lack it
                raise StopAsyncIteration
            self._take(answer)
        return self._hand_out()

    def cancel(self) -> None:
        """End the subscription."""
        self._call.cancel()


class Stream(_Cursor[T]):
    """Items as they come, `for item in stream`, to the end of a replay or without end; heartbeats are not shown.

    As a context manager it waits until the service has taken up the subscription, and ends it on leaving. Iterating
    raises a TradingSignalsError when the stream breaks.
    """

    def __init__(self, call: Any, items_of: Callable[[Any], Iterable[T]]) -> None:
        super().__init__(items_of)
        self._call = call
        self._cancelled = False

    def __enter__(self) -> Self:
        self._call.initial_metadata()
        if not self._call.is_active() and self._call.code() is not grpc.StatusCode.OK:
            raise from_rpc_error(self._call)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.cancel()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        while not self._waiting:
            try:
                answer = next(self._call)
            except grpc.RpcError as error:
                if self._cancelled:
                    raise StopIteration from None
                raise from_rpc_error(error) from error
            self._take(answer)
        return self._hand_out()

    def cancel(self) -> None:
        """End the subscription; may be called from another thread, whereupon the iteration ends."""
        self._cancelled = True
        self._call.cancel()
