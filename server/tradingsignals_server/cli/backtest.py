"""The command line of backtests: what `tradingsignals backtest` and `tradingsignals parity` take."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from .. import logs
from ..config.field_types import LogFormat
from ..config.rules import RULE_SETTINGS
from .run import ERROR_CODE, run_task


def _rule_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command an option for each setting that a backtest depends on."""
    for name in reversed(RULE_SETTINGS):
        about = f"See {name.upper()} in `tradingsignals config`."
        command = click.option(f"--{name.replace('_', '-')}", name, metavar="VALUE", help=about)(command)
    return command


@click.command()
@click.argument("file", nargs=-1, metavar="[FILE]")
@click.option("--database", is_flag=True, help="The bars that the service has stored instead of a FILE.")
@click.option("--symbol", "symbols", multiple=True, help="Only this symbol; one is also that of rows without a symbol.")
@click.option("--from", "start", metavar="TIME", help="Decide from this time on (UTC); bars before it warm up.")
@click.option("--to", "end", metavar="TIME", help="Leave out bars from this time on (UTC).")
@click.option("--model", type=click.Path(path_type=Path), help="MODEL_PATH: a model file or a folder.")
@click.option(
    "--set", "changed", multiple=True, metavar="NAME=VALUE", help="Change a setting, such as ATR_MULTIPLIER_TP=4."
)
@click.option(
    "--grid", multiple=True, metavar="NAME=V,V...", help="Try these values of a setting, in every combination."
)
@click.option(
    "--walk-forward", "splits", type=click.IntRange(1, 1000), help="Choose before each of N splits, test in it."
)
@click.option("--prove", is_flag=True, help="Prove that no decision depends on later bars.")
@click.option(
    "--json", "json_out", type=click.Path(path_type=Path, dir_okay=False), help="Write the result to this file."
)
@click.option(
    "--report", type=click.Path(path_type=Path, dir_okay=False), help="Write a report to this file, as one HTML page."
)
@click.option("--compare/--no-compare", default=True, help="Compare with buy and hold, a coin and a cross of averages.")
@click.option("--seed", type=int, default=12, show_default=True, help="Of the coin, and of the proof.")
@click.option("--jobs", type=click.IntRange(1, 256), help="Processes of a grid; as many as there are cores.")
@_rule_options
def backtest(**options: Any) -> None:
    """Run the model over the bars of FILE (CSV, CSV.gz or Parquet), and print what it would have made of them.

    \b
    tradingsignals backtest bars.csv.gz --confidence-threshold 0.7 --report out.html --json out.json
    tradingsignals backtest bars.csv.gz --grid CONFIDENCE_THRESHOLD=0.6,0.65,0.7 ATR_MULTIPLIER_TP=2,3 --walk-forward 5
    tradingsignals backtest --database --symbol USDCOP --from 2024-01-01
    tradingsignals backtest bars.csv.gz --prove

    Every bar passes the steps of the running service, with its settings. docs/backtesting.md says what the figures
    mean. The exit code is 3 if --prove finds a decision that depends on later bars.
    """
    from ..commands.backtest import backtest as command
    from ..commands.backtest.arguments import parse_options

    logs.configure("WARNING", LogFormat.TEXT)
    sys.exit(run_task(command(parse_options(options))))


@click.command()
@click.option("--symbol", "symbols", multiple=True, help="Only this symbol; may be given several times.")
@click.option("--from", "start", metavar="TIME", help="Compare from this time on (UTC).")
@click.option("--to", "end", metavar="TIME", help="Leave out bars from this time on (UTC).")
@click.option("--model", type=click.Path(path_type=Path), help="MODEL_PATH: a model file or a folder.")
@click.option("--set", "changed", multiple=True, metavar="NAME=VALUE", help="Change a setting.")
@click.option("--skip-late", is_flag=True, help="Leave out bars that came late, as the service did.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def parity(context: click.Context, /, skip_late: bool, as_json: bool, **options: Any) -> None:
    """Compare what the service made of its stored bars with a backtest of them, bar by bar.

    Signals, closed positions, outcomes, and the account at each close are compared in every field. With --from the
    backtest begins with the account, the open positions and the recurrent state that the service had then.

    The exit code is 1 if anything differs; the first field that does is printed, and why: another model, other
    settings, a late, missing or altered bar, or a request in between. It is 2 if they could not be compared.
    """
    from ..commands.backtest.arguments import parse_comparison
    from ..commands.backtest.parity import parity as command

    context.meta[ERROR_CODE] = 2
    logs.configure("WARNING", LogFormat.TEXT)
    sys.exit(run_task(command(parse_comparison(options), skip_late=skip_late, as_json=as_json)))


@click.command()
@click.option("--symbol", "symbols", multiple=True, help="Only this symbol; may be given several times.")
@click.option("--from", "start", metavar="TIME", help="From this time on (UTC); default: the first stored bar.")
@click.option("--to", "end", metavar="TIME", help="Up to this time (UTC), exclusive; default: now.")
@click.option("--out", required=True, type=click.Path(path_type=Path, dir_okay=False), help="The file to write.")
def report(out: Path, **options: Any) -> None:
    """Write a report on what the service did in a period, as one HTML page that works offline.

    \b
    tradingsignals report --from 2024-06-01 --to 2024-07-01 --symbol USDCOP --out june.html

    It reads the database of the settings, beside a service that may be running, and changes nothing.
    """
    from ..commands.backtest.arguments import parse_comparison
    from ..commands.report import report as command

    logs.configure("WARNING", LogFormat.TEXT)
    sys.exit(run_task(command(parse_comparison({**options, "model": None, "changed": ()}), out)))
