"""The command line of what only calls a running service: `tradingsignals watch` and `tradingsignals explain`."""

from __future__ import annotations

import sys

import click

from .options import address_option
from .run import run, run_task


@click.command()
@click.option("--symbol", "symbols", multiple=True, help="Only this symbol; may be given several times.")
@click.option("--positions", "what", flag_value="positions", help="Positions instead of signals.")
@click.option("--all", "what", flag_value="all", help="Signals and positions.")
@address_option
def watch(symbols: tuple[str, ...], what: str | None, address: str) -> None:
    """Follow the signals of a running service in the terminal."""
    from ..commands.watch import watch as command

    sys.exit(run(command(address, symbols=symbols, what=what or "signals")))


@click.command()
@click.argument("signal_id")
@click.option("--replay", "replays", is_flag=True, help="Make the signal again too; the exit code is 1 if it differs.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@address_option
def explain(signal_id: str, replays: bool, as_json: bool, address: str) -> None:
    """Say why the signal SIGNAL_ID of a running service was given: rules, contributions and features."""
    from ..commands.explain import explain as command

    sys.exit(run_task(command(address, signal_id, replays=replays, as_json=as_json)))
