# Generated from _async/pages.py by `make generate`; do not edit.
"""Lists whose pages are fetched as they are needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Pages(Generic[T]):
    """Items of all pages, in the order of the list: `for item in pages`.

    Each loop starts again with the first page.
    """

    def __init__(self, fetch: Callable[[str], Any], items_of: Callable[[Any], Sequence[T]]) -> None:
        """Use `fetch` to get the page of a page token, and `items_of` to get the items of a page."""
        self._fetch = fetch
        self._items_of = items_of
        self._through: int | None = None

    @property
    def through_sequence(self) -> int | None:
        """The point of the event log at which the first page was read; None before that, and for bars."""
        return self._through

    def __iter__(self) -> Iterator[T]:
        token = ""
        while True:
            page = self._fetch(token)
            if self._through is None:
                self._through = getattr(page, "through_sequence", None)
            yield from self._items_of(page)
            if not (token := page.next_page_token):
                return
