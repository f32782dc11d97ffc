"""Display of the progress of a replay."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from ..adapters.feeds.delivery import Monotonic
from ..adapters.feeds.tally import Tally
from ..domain.wording import counted

_SECONDS_BETWEEN_LINES = 5.0


class ReplayDisplay:
    """A progress bar on a terminal, otherwise plain lines every few seconds; and a summary at the end.

    As a context manager it restores the terminal. The progress bar is visible from the first call to the last bar.
    """

    def __init__(self, console: Console, name: str, monotonic: Monotonic) -> None:
        self._console = console
        self._name = name
        self._monotonic = monotonic
        self._began = self._printed = monotonic()
        self._progress = Progress(
            TextColumn("[bold]{task.fields[name]}"),
            BarColumn(bar_width=None),
            TextColumn("{task.completed:,.0f} of {task.fields[of]}"),
            TextColumn("{task.fields[rate]} bars/s"),
            TextColumn("[cyan]{task.fields[through]}"),
            TextColumn("[dim]{task.fields[counts]}"),
            TimeRemainingColumn(compact=True),
            console=console,
            expand=True,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task("", total=None, name=name, of="-", rate="-", through="", counts="")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._progress.stop()

    def reading(self, rows: int) -> None:
        """Show the number of rows read, before anything is published."""
        if self._console.is_terminal:
            self._progress.start()
            self._progress.update(self._task, completed=rows, of="rows read")
        elif self._is_line_due():
            self.print_line(f"{self._name}: {counted(rows, 'row is', 'rows are')} read")

    def update(self, tally: Tally) -> None:
        """Show the number of bars published. The rate counts from the call with no bars."""
        if not tally.bars:
            self._began = self._monotonic()
        rate, total = f"{self._rate(tally):,.0f}", len(tally.file)
        if self._console.is_terminal:
            counts = ", ".join(f"{what} {count:,}" for what, count in tally.counts() if count)
            self._progress.start()
            self._progress.update(
                self._task,
                total=total,
                completed=tally.bars,
                of=f"{total:,}",
                rate=rate,
                through=tally.reached,
                counts=counts,
            )
            if tally.bars == total:
                self._progress.stop()
        elif self._is_line_due():
            self.print_line(f"{tally.bars:,} of {counted(total, 'bar')}, {rate} bars/s, at {tally.reached}")

    def print_line(self, line: str) -> None:
        """Print a line above the progress bar."""
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def conclude(self, how: str, tally: Tally) -> None:
        """Print the summary, then the warnings."""
        seconds = self._monotonic() - self._began
        self.print_line(
            f"{self._name}: {how}; {counted(tally.bars, 'bar')} in {seconds:.1f} s ({self._rate(tally):,.0f} bars/s)"
        )
        for what, count in tally.counts():
            self.print_line(f"  {what:<16}{count:>10,}")
        for reason in tally.reasons:
            self.print_line(f"    {reason}")
        if tally.unnamed:
            self.print_line(f"    and {tally.unnamed:,} more")
        for failure in tally.failures():
            self._console.print(f"WARNING: {failure}", style="bold red", markup=False, highlight=False, soft_wrap=True)

    def _is_line_due(self) -> bool:
        now = self._monotonic()
        if now - self._printed < _SECONDS_BETWEEN_LINES:
            return False
        self._printed = now
        return True

    def _rate(self, tally: Tally) -> float:
        return tally.bars / max(self._monotonic() - self._began, 1e-3)
