"""The command line of operations: what `tradingsignals backup`, `restore` and `doctor` take."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from .. import logs
from ..config.field_types import LogFormat
from ..config.settings import Settings
from .run import run_task


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def backup(file: Path) -> None:
    """Write the whole database to the new FILE, as it is at one moment, while the service goes on.

    It needs no other program with the embedded database, and pg_dump with another. Models and settings are files:
    copy them too.
    """
    from ..commands.backup import backup as command

    logs.configure("WARNING", LogFormat.TEXT)
    sys.exit(run_task(command(Settings.from_env(), file)))


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option(
    "--same-epoch",
    is_flag=True,
    help="Keep the epoch of the log: only if the service was stopped before the backup, so that none of its entries is "
    "missing.",
)
def restore(file: Path, same_epoch: bool) -> None:
    """Restore FILE, which `backup` wrote, into the empty database of the settings: another DATA_DIR, for example.

    The log gets a new epoch, so that followers that have seen entries from after the backup stop, instead of taking
    other entries for them.
    """
    from ..commands.backup import restore as command

    logs.configure("WARNING", LogFormat.TEXT)
    sys.exit(run_task(command(Settings.from_env(), file, same_epoch=same_epoch)))


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(as_json: bool) -> None:
    """Check a set-up, and say what is wrong and what to do: settings, programs, disk, ports, database, models.

    It changes nothing. The embedded database is started for it, unless the service runs. The exit code is 1 if there is
    a problem.
    """
    from ..commands.doctor.command import doctor as command

    logs.configure("ERROR", LogFormat.TEXT)
    sys.exit(run_task(command(as_json=as_json)))
