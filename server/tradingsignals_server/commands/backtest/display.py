"""Progress of a backtest: a bar on a terminal, and nothing elsewhere but warnings."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from ...application.backtest.result import BacktestProgress
from ...domain.wording import counted


class BacktestDisplay:
    """A progress bar on a terminal, which is gone at the end. As a context manager it restores the terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            TextColumn("{task.completed:,.0f} of {task.fields[of]}"),
            BarColumn(),
            TextColumn("[cyan]{task.fields[through]}"),
            TextColumn("[dim]{task.fields[counts]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(compact=True),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task("", total=None, of="-", through="", counts="")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Remove the progress bar."""
        self._progress.stop()

    def reading(self, rows: int) -> None:
        """Show the number of rows read."""
        self._progress.update(self._task, completed=rows, of="rows read")

    def progress(self, progress: BacktestProgress) -> None:
        """Show how far a run is."""
        self._progress.update(
            self._task,
            completed=progress.bars,
            total=progress.total_bars,
            of=counted(progress.total_bars, "bar"),
            through=f"{progress.through:%Y-%m-%d}",
            counts=f"{counted(progress.closed_positions, 'trade')}, equity {progress.equity:,.0f}",
        )

    def count(self, done: int, total: int, what: str) -> None:
        """Show how many of `total` are done."""
        self._progress.update(self._task, completed=done, total=total, of=f"{total:,} {what}", through="", counts="")

    def warn(self, line: str) -> None:
        """Print a line above the progress bar."""
        self._console.print(f"WARNING: {line}", style="yellow", markup=False, highlight=False, soft_wrap=True)
