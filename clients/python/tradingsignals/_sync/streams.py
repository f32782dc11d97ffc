# Generated from _async/streams.py by `make generate`; do not edit.
"""Streams: the responses of a server stream, handed out one item at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from ..errors import TradingSignalsError
from ..resume import Sequenced
from .calls import StreamCall

T = TypeVar("T", bound=Sequenced)


class Stream(Generic[T]):
    """Items as they come, `for item in stream`, to the end of a replay or without end; heartbeats are not shown.

    As a context manager it waits until the service has accepted the subscription, and ends it on leaving. Iterating
    raises a TradingSignalsError when the stream breaks.
    """

    def __init__(self, call: Any, items_of: Callable[[Any], Iterable[T]]) -> None:
        """Read the items that `items_of` finds in each response of a gRPC call."""
        self._call = StreamCall(call)
        self._items_of = items_of
        self._pending: deque[T] = deque()
        self._received_through = 0
        self._through: int | None = None
        self._cancelled = False

    @property
    def through_sequence(self) -> int | None:
        """Everything up to here was handed out: pass it as `resume_after` to go on from here. None: nothing yet."""
        return self._through

    def __enter__(self) -> Self:
        self._call.metadata()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.cancel()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        while not self._pending:
            self._receive()
        item = self._pending.popleft()
        self._advance(item.sequence if self._pending else self._received_through)
        return item

    def cancel(self) -> None:
        """End the subscription. Without asyncio: may be called from another thread, which ends the iteration."""
        self._cancelled = True
        self._call.cancel()

    def _receive(self) -> None:
        try:
            response = self._call.read()
        except TradingSignalsError:
            if self._cancelled:
                raise StopIteration from None
            raise
        if response is None:
            raise StopIteration
        self._pending.extend(self._items_of(response))
        self._received_through = response.through_sequence
        if not self._pending:  # a heartbeat
            self._advance(self._received_through)

    def _advance(self, sequence: int) -> None:
        self._through = max(sequence, self._through or 0)
