"""An earlier version of the service to measure beside this one.

Its commit is built in build/against/<commit>, with an environment of its own from that commit's lock files, and kept
for the next time. This tree's benchmarks start its command `tradingsignals up` and send it the same load as to this
tree's, on a PostgreSQL of the same settings, so that a ratio compares the two services and nothing else.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

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
