"""Methods as both servers serve them: request bytes in, response bytes out. A table of them is passed in."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, Protocol

BUDGET_ENTRIES: Final = 1024
"""Work on responses before other tasks of the event loop have their turn: some 2 ms of joining stored messages."""


class Budget:
    """Work on responses that may still be done in this turn of the event loop, in entries."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = BUDGET_ENTRIES


class StreamEnd(Protocol):
    """How a stream of responses ends."""

    @property
    def error(self) -> Exception | None:
        """The error that the caller is to be sent; None if the stream ended as it should."""

    @property
    def response(self) -> bytes | None:
        """The last response, if there is one."""


class ResponseSource(Protocol):
    """Gives the responses of one stream, one after the other, and does no I/O but in `read`. Times are the loop's."""

    @property
    def awaits(self) -> Literal["entries", "page", "turn", "end"]:
        """What has to happen before `next` is called again.

        - "entries": a notification of new entries, or the clock has reached `due_at`
        - "page": `read` has returned
        - "turn": other tasks have had their turn of the event loop
        - "end": nothing; see `end`
        """

    @property
    def due_at(self) -> float:
        """When `next` has something to return or to end without a notification."""

    @property
    def end(self) -> StreamEnd | None:
        """How the stream ends, once it does."""

    def next(self, now: float, budget: Budget) -> bytes | None:
        """Return the next response, which counts as sent; None if there is none now: see `awaits`."""

    def last_response(self, error: Exception) -> bytes | None:
        """Return a response that says that the stream ends with an error, before its end; None if it cannot be sent."""

    async def read(self) -> None:
        """Read what `next` needs, when it awaits a page."""

    def blocked(self, now: float, *, sent: bool = False) -> None:
        """Record that the caller does not take the last response; `sent`: it has that, but nothing more can be sent."""

    def unblocked(self, now: float) -> None:
        """Record that the last response has been sent, and that more can be."""


@dataclass(frozen=True, slots=True)
class Unary:
    """One request, one response."""

    call: Callable[[bytes], Awaitable[bytes]]


@dataclass(frozen=True, slots=True)
class ClientStreaming:
    """A stream of requests, one response."""

    call: Callable[[AsyncIterator[bytes]], Awaitable[bytes]]


@dataclass(frozen=True, slots=True)
class ServerStreaming:
    """One request, a stream of responses."""

    open: Callable[[bytes], Awaitable[ResponseSource]]


Method = Unary | ClientStreaming | ServerStreaming
Methods = Mapping[str, Method]
"""Methods by their path: `/package.Service/Method`."""

Subscribe = Callable[[Callable[[], None]], Callable[[], None]]
"""Has a function called whenever response sources may have new entries; returns how to unsubscribe."""
