"""Counts of the results of publishing a file of bars."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from ...domain.bars import Bar
from ...domain.events import Disposition
from ...domain.wording import counted
from .files import NAMED_REASONS, BarFile


@dataclass(slots=True)
class Tally:
    """Counts of the bars of `file` that were published so far: stored now, stored before, or refused.

    through: open of the last published bar. reasons: the first skipped rows and refused bars, each with its reason.
    """

    file: BarFile
    bars: int = 0
    dispositions: Counter[Disposition] = field(default_factory=Counter)
    rejected: int = 0
    through: datetime | None = None
    reasons: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.reasons.extend(map(str, self.file.skipped))

    def reject(self, bar: Bar, message: str) -> None:
        """Count a bar that was permanently refused."""
        self.rejected += 1
        if len(self.reasons) < NAMED_REASONS:
            row = self.file.row_of(bar)
            self.reasons.append(f"row {row}: {bar.symbol} {bar.time:%Y-%m-%d %H:%M}: {message}")

    def counts(self) -> list[tuple[str, int]]:
        """Return pairs of a result, as it is shown, and its number of bars or rows."""
        counts = [(name, self.dispositions[kind]) for name, kind in _SHOWN.items()]
        return [*counts, ("rejected", self.rejected), ("rows skipped", self.file.skipped_rows)]

    @property
    def reached(self) -> str:
        """The market time that the bars have reached, as it is shown."""
        return "-" if self.through is None else f"{self.through:%Y-%m-%d %H:%M}"

    @property
    def unnamed(self) -> int:
        """Number of refused bars and skipped rows that are not among the reasons."""
        return self.rejected + self.file.skipped_rows - len(self.reasons)

    def failures(self) -> Iterator[str]:
        """Yield one line for each reason why bars did not have the effect that they have in the order of time."""
        if late := self.dispositions[Disposition.LATE]:
            are, their = ("is LATE: it is", "its symbol") if late == 1 else ("are LATE: they are", "their symbols")
            yield (
                f"{late:,} of {counted(self.bars, 'bar')} {are} stored, but made no signal, because newer bars of "
                f"{their} had been processed before"
            )
        if self.rejected:
            are = "is refused: it is" if self.rejected == 1 else "are refused: they are"
            yield f"{self.rejected:,} of {counted(self.bars, 'bar')} {are} not stored"
        if self.file.damage is not None:
            read = counted(len(self.file), "bar before the damage was", "bars before the damage were")
            yield f"only the {read} read: {self.file.damage}"


_SHOWN = {
    "accepted": Disposition.ACCEPTED,
    "warming up": Disposition.WARMING_UP,
    "outside session": Disposition.OUTSIDE_SESSION,
    "other interval": Disposition.OTHER_INTERVAL,
    "late": Disposition.LATE,
    "duplicates": Disposition.DUPLICATE,
}
