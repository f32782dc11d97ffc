"""How far a replay has come, and how that is shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from tradingsignals.v1.market_data_service_pb2 import PublishBarsResponse

from ..adapters.feeds.delivery import Monotonic
from ..adapters.feeds.files import SkippedRow
from ..domain.bars import Bar

_NAMED = 5
"""Refused bars and skipped rows that are named one by one; the rest is only counted."""
_SECONDS_BETWEEN_LINES = 5.0


@dataclass(slots=True)
class Tally:
    """What became of the bars so far."""

    bars: int = 0
    accepted: int = 0
    warming_up: int = 0
    outside_session: int = 0
    late: int = 0
    duplicates: int = 0
    rejected: int = 0
    skipped_rows: int = 0
    through: datetime | None = None
    reasons: list[str] = field(default_factory=list)
    """Why the first of the bars and rows that were not taken were not."""

    def add(self, bars: Sequence[Bar], answer: PublishBarsResponse) -> None:
        """Count the answer to some bars."""
        self.bars += len(bars)
        self.accepted += answer.accepted
        self.warming_up += answer.warming_up
        self.outside_session += answer.outside_session
        self.late += answer.late
        self.duplicates += answer.duplicates
        self.rejected += answer.rejected
        self.through = bars[-1].time
        for rejection in answer.rejections:
            bar = bars[rejection.index]
            self._name(f"{bar.symbol} {bar.time:%Y-%m-%d %H:%M}: {rejection.message}")

    def skip(self, row: SkippedRow) -> None:
        """Count a row of the file that is no bar."""
        self.skipped_rows += 1
        self._name(str(row))

    def _name(self, reason: str) -> None:
        if len(self.reasons) < _NAMED:
            self.reasons.append(reason)

    def counts(self) -> list[tuple[str, int]]:
        """What became of how many bars."""
        return [
            ("accepted", self.accepted),
            ("warming up", self.warming_up),
            ("outside session", self.outside_session),
            ("late", self.late),
            ("duplicates", self.duplicates),
            ("rejected", self.rejected),
            ("rows skipped", self.skipped_rows),
        ]


class ReplayDisplay:
    """A bar that moves on a terminal, a plain line now and then anywhere else, and a summary at the end."""

    def __init__(self, console: Console, name: str, total: int, monotonic: Monotonic) -> None:
        self._console = console
        self._name = name
        self._total = total
        self._monotonic = monotonic
        self._began = self._spoke = monotonic()
        self._progress = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.completed:,.0f} of {task.total:,.0f}"),
            TextColumn("{task.fields[rate]} bars/s"),
            TextColumn("[cyan]{task.fields[through]}"),
            TextColumn("[dim]{task.fields[counts]}"),
            TimeRemainingColumn(compact=True),
            console=console,
            expand=True,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task(name, total=total, rate="-", through="", counts="")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._progress.stop()

    def update(self, tally: Tally) -> None:
        """Show how far the replay is."""
        rate, through = f"{self._rate(tally):,.0f}", f"{tally.through:%Y-%m-%d %H:%M}"
        if self._console.is_terminal:
            counts = ", ".join(f"{count:,} {what}" for what, count in tally.counts() if count)
            self._progress.update(self._task, completed=tally.bars, rate=rate, through=through, counts=counts)
        elif self._monotonic() - self._spoke >= _SECONDS_BETWEEN_LINES:
            self._spoke = self._monotonic()
            self.say(f"{tally.bars:,} of {self._total:,} bars, {rate} bars/s, at {through}")

    def say(self, line: str) -> None:
        """A line of its own, above the bar."""
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def conclude(self, how: str, tally: Tally) -> None:
        """The summary."""
        seconds = self._monotonic() - self._began
        self.say(f"{self._name}: {how}; {tally.bars:,} bars in {seconds:.1f} s ({self._rate(tally):,.0f} bars/s)")
        for what, count in tally.counts():
            self.say(f"  {what:<16}{count:>10,}")
        for reason in tally.reasons:
            self.say(f"    {reason}")
        if (unnamed := tally.rejected + tally.skipped_rows - len(tally.reasons)) > 0:
            self.say(f"    and {unnamed:,} more")

    def _rate(self, tally: Tally) -> float:
        return tally.bars / max(self._monotonic() - self._began, 1e-3)
