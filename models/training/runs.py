"""The runs of a recipe, each in a process of its own, as many at once as there are cores."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from threading import Thread
from typing import cast

import torch

from .recipe import Recipe, Variant
from .train import Candidate, Course, run


class RunFailed(Exception):
    """A run ended without a result. The message is one line; the process has written the cause."""


@dataclass(frozen=True, slots=True)
class Run:
    """A variant and a seed."""

    variant: Variant
    seed: int

    def __str__(self) -> str:
        """Name it for messages."""
        return f"{self.variant.name}, seed {self.seed}"

    def folder(self, work: Path) -> Path:
        """Folder of its best policy."""
        return work / f"{self.variant.name}-{self.seed}"

    def made(self, candidate: Candidate) -> bool:
        """Whether it made this candidate."""
        return (candidate.variant, candidate.seed) == (self.variant.name, self.seed)


def runs_of(recipe: Recipe) -> list[Run]:
    """Every variant with every seed; a cold start, which is for comparison, with the first seed only."""
    return [
        Run(variant, seed)
        for variant in recipe.variants
        for seed in (recipe.seeds if variant.imitation_epochs or variant.profit_epochs else recipe.seeds[:1])
    ]


def run_all(
    course: Course, runs: Sequence[Run], work: Path, jobs: int, report: Callable[[Candidate], None]
) -> list[Candidate]:
    """Train all `runs`, `jobs` at once, and call `report` with each candidate as it is made.

    Returns the candidates by run, those of a run in the order of its training. The number of jobs changes no result.

    Args:
        course: data and rules of every run.
        runs: the runs.
        work: folder with a folder for each run.
        jobs: processes at once, at least 1; with 1 everything runs in this process.
        report: called in this process.

    Raises:
        RunFailed: a run failed; the others are ended.
    """
    if jobs == 1:
        return [candidate for one in runs for candidate in run(course, one.variant, one.seed, one.folder(work), report)]
    found = list[Candidate]()
    pending, active = list(runs), dict[Connection, tuple[Run, SpawnProcess]]()
    try:
        while pending or active:
            while pending and len(active) < jobs:
                one = pending.pop(0)
                reader, process = _start(course, one, work)
                active[reader] = one, process
            for reader in cast(list[Connection], wait(list(active))):
                try:
                    found.append(reader.recv())
                    report(found[-1])
                except EOFError:
                    one, process = active.pop(reader)
                    process.join()
                    if process.exitcode:
                        raise RunFailed(f"{one}: its process ended with {process.exitcode}") from None
    finally:
        for _, process in active.values():
            process.terminate()
            process.join()
    return [candidate for one in runs for candidate in found if one.made(candidate)]


def _start(course: Course, one: Run, work: Path) -> tuple[Connection, SpawnProcess]:
    """Start a process for a run; return the end of the pipe on which its candidates arrive, and the process."""
    # A fork would copy the threads of torch and of the display in the middle of their work.
    context = get_context("spawn")
    reader, writer = context.Pipe(duplex=False)
    process = context.Process(target=_train, args=(course, one, work, writer), daemon=True)
    process.start()
    writer.close()
    return reader, process


def _train(course: Course, one: Run, work: Path, writer: Connection) -> None:
    """Train a run in this process, and write its candidates to a pipe."""
    # More threads would change the order of sums, and so the last bits; one is as fast for so small a network.
    torch.set_num_threads(1)
    Thread(target=_end_with_parent, daemon=True).start()
    run(course, one.variant, one.seed, one.folder(work), writer.send)


def _end_with_parent() -> None:
    """End this process once its parent has ended, also if that was killed."""
    if (parent := parent_process()) is not None:
        parent.join()
        os._exit(1)
