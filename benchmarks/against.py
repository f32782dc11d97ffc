"""An earlier version of the service to measure beside this one.

Its commit is built in build/against/<commit>, with an environment of its own from that commit's lock files, and kept
for the next time. This tree's benchmarks start its command `tradingsignals up` and send it the same load as to this
tree's, on a PostgreSQL of the same settings, so that a ratio compares the two services and nothing else. Both services
run all the time, and are measured in turn; the one that is not measured is idle.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from .processes import ROOT

FOLDER = ROOT / "build" / "against"
_INSTALLED = ".venv/.run"
"""The target of a tree's Makefile that installs what the service needs."""


@dataclass(frozen=True, slots=True)
class Version:
    """An earlier version, installed."""

    commit: str
    subject: str
    python: Path

    @property
    def title(self) -> str:
        """A heading for a comparison with it."""
        return f"This tree against {self.commit[:10]} ({self.subject}), measured in turn"


def built(revision: str) -> Version:
    """Build the commit that git knows as `revision`, unless it is there.

    Raises:
        SystemExit: there is no such commit, or it cannot be built.
    """
    try:
        commit, subject = _git("log", "-1", "--format=%H%n%s", f"{revision}^{{commit}}").splitlines()
        folder = FOLDER / commit
        if not (folder / _INSTALLED).exists():
            print(f"building {commit[:10]} in {folder} ...", file=sys.stderr, flush=True)
            folder.mkdir(parents=True, exist_ok=True)
            archive = subprocess.run(["git", "archive", commit], cwd=ROOT, check=True, capture_output=True)
            subprocess.run(["tar", "-x"], cwd=folder, check=True, input=archive.stdout)
            # This runs below `make bench`, whose variables are not for the other tree.
            environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
            subprocess.run(["make", "--silent", _INSTALLED], cwd=folder, check=True, env=environment, stdout=sys.stderr)
    except subprocess.CalledProcessError as error:
        sys.exit(f"{revision} cannot be built: {error}")
    return Version(commit, subject, folder / ".venv" / "bin" / "python")


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


class Turn:
    """One of two sequences of measurements, which runs as an async context only while the other one waits."""

    def __init__(self, *, first: bool) -> None:
        self._may_run = asyncio.Event()
        self._passes = first
        self._ended = False
        self.other = self
        if first:
            self._may_run.set()

    async def __aenter__(self) -> Self:
        await self._may_run.wait()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._ended = True
        self.other._may_run.set()

    async def measured(self) -> None:
        """Let the other one run after every second measurement, and wait until it has done the same."""
        passes, self._passes = self._passes, not self._passes
        if passes and not self.other._ended:
            self._may_run.clear()
            self.other._may_run.set()
            await self._may_run.wait()


def turns() -> tuple[Turn, Turn]:
    """Two sequences of measurements that alternate: A B B A A B B A."""
    first, second = Turn(first=True), Turn(first=False)
    first.other, second.other = second, first
    return first, second
