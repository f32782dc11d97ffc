"""The display of a training: a progress bar for each run on a terminal, otherwise a line for each candidate."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from .runs import Run
from .train import Candidate


class TrainingDisplay:
    """The runs of a training on `console`; a context manager, which restores the terminal."""

    def __init__(self, console: Console, runs: Sequence[Run]) -> None:
        self._console = console
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("[cyan]{task.fields[newest]}"),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._runs = runs
        self._tasks = [self._progress.add_task(str(one), total=one.variant.timesteps, newest="waiting") for one in runs]

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._progress.stop()

    def show(self, candidate: Candidate) -> None:
        """Show a candidate: its figures on the validation range, in percent of a session, net."""
        figures = (
            f"{candidate.mean_pct:+.3f} ± {candidate.standard_error:.3f}, acts on {candidate.acted:.1%} of the bars"
        )
        for one, task in zip(self._runs, self._tasks, strict=True):
            if one.made(candidate):
                done = min(candidate.timesteps, one.variant.timesteps)
                self._progress.update(task, completed=done, newest=figures)
        if not self._console.is_terminal:
            name = f"{candidate.variant}, seed {candidate.seed}"
            self._console.print(f"{name:<24}{candidate.timesteps:>9,} bars  {figures}", markup=False, soft_wrap=True)
