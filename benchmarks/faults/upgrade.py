"""Two versions of the program, of which one replaces the other while servers run."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
from pathlib import Path

from ..processes import ROOT
from .setups import Setup

MIGRATIONS = "server/tradingsignals_server/adapters/postgres/migrations"
_PACKAGES = ("server", "clients/python")
_TREE = (*_PACKAGES, "envoy")
_RESTARTED = "every server has been restarted"
_NOT_RESTARTED = "the remaining servers are not restarted"


class UpgradeFailed(Exception):
    """The servers were not replaced."""


def version_before() -> str:
    """Return the version to upgrade from: AGAINST, or else the commit before the one that added the newest migration.

    Raises:
        subprocess.CalledProcessError: there is no such commit here.
    """
    newest = max(path.name for path in (ROOT / MIGRATIONS).glob("*.sql"))
    added = _git("log", "-1", "--format=%H", "--diff-filter=A", "--", f"{MIGRATIONS}/{newest}").strip() or "HEAD"
    named = os.environ.get("AGAINST") or (f"{added}^" if added != "HEAD" else added)
    return _git("rev-parse", "--verify", f"{named}^{{commit}}").strip()


def no_version_before() -> str | None:
    """Return why there is no version to upgrade from, or None."""
    try:
        version_before()
    except (OSError, subprocess.CalledProcessError):
        return "git does not have the version before"
    return None


class Program:
    """The installed program in a folder: first the version before, with the packages that this one runs on."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "program"
        before, after = folder / "before", folder / "after"
        before.mkdir()
        archive = subprocess.run(
            ["git", "archive", version_before(), *_TREE], cwd=ROOT, check=True, capture_output=True
        )
        subprocess.run(["tar", "-x"], cwd=before, check=True, input=archive.stdout)
        for package in _TREE:
            shutil.copytree(ROOT / package, after / package, ignore=shutil.ignore_patterns("__pycache__"))
        self._folder.symlink_to(before)
        self._after = after
        self.settings = {"PYTHONPATH": os.pathsep.join(str(self._folder / package) for package in _PACKAGES)}

    def install(self) -> None:
        """Install this version: what is started from now on is of it."""
        new = self._folder.with_suffix(".new")
        new.symlink_to(self._after)
        new.replace(self._folder)


async def replace_servers(setup: Setup) -> None:
    """Have `up --servers` replace its servers one by one, as `systemctl reload` does.

    Raises:
        UpgradeFailed: it gave up.
    """
    setup.process.send_signal(signal.SIGHUP)
    log = setup.folder / "service.log"
    while _RESTARTED not in (text := log.read_text(errors="replace")):
        if _NOT_RESTARTED in text:
            raise UpgradeFailed(_NOT_RESTARTED)
        await asyncio.sleep(0.1)


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True).stdout
