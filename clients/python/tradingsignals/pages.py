"""Lists: all pages of an answer, fetched as they are needed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Snapshot(list[T]):
    """A list, and the point of the event log at which it was read.

    Following with `through_sequence` as `resume_after` misses nothing that happened since.
    """

    def __init__(self, items: Sequence[T], through_sequence: int) -> None:
        super().__init__(items)
        self.through_sequence = through_sequence


class _Pages(Generic[T]):
    def __init__(self, fetch: Callable[[str], Any], items_of: Callable[[Any], Sequence[T]]) -> None:
        self._fetch = fetch
        self._items_of = items_of
        self._through: int | None = None

    @property
    def through_sequence(self) -> int | None:
        """The point of the event log at which the first page was read; None before that, and for bars."""
        return self._through

    def _note(self, page: Any) -> None:
        if self._through is None:
            self._through = getattr(page, "through_sequence", None)


class AsyncPages(_Pages[T]):
    """Items of all pages, the newest first: `async for item in pages`. Each loop starts again with the first page."""

    _fetch: Callable[[str], Awaitable[Any]]

    async def __aiter__(self) -> AsyncIterator[T]:
        token = ""
        while True:
            page = await self._fetch(token)
            self._note(page)
            for item in self._items_of(page):
                yield item
            if not (token := page.next_page_token):
                return


class Pages(_Pages[T]):
    """Items of all pages, the newest first: `for item in pages`. Each loop starts again with the first page."""

    def __iter__(self) -> Iterator[T]:
        token = ""
        while True:
            page = self._fetch(token)
            self._note(page)
            yield from self._items_of(page)
            if not (token := page.next_page_token):
                return
