"""Lists that were read at one point of the event log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Snapshot(list[T]):
    """A list, and the point of the event log at which it was read.

    Following with `through_sequence` as `resume_after` misses nothing that happened since.
    """

    def __init__(self, items: Sequence[T], through_sequence: int) -> None:
        super().__init__(items)
        self.through_sequence = through_sequence
