"""The command line, `tradingsignals`: what commands take. What they do stands in bootstrap and in commands/."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

import click

from .. import __version__, logs
from ..adapters.feeds.registry import FEEDS
from ..adapters.feeds.replay import REPLAY
from ..config.settings import InvalidSettings, Settings
from ..domain.errors import StorageUnavailable
from .backtest import backtest, parity, report
from .callers import explain, watch
from .keys import keys
from .models import check, export, stamp
from .notifications import notifications
from .operations import backup, doctor, restore
from .options import FiniteRange, address_option
from .run import ERROR_CODE, run, run_task


class OneLineErrors(click.Group):
    """A group whose commands end with one line when something foreseeable is wrong."""

    def invoke(self, ctx: click.Context) -> Any:
        """See click.Group."""
        try:
            return super().invoke(ctx)
        except (InvalidSettings, StorageUnavailable) as error:
            _fail(error, ctx)
        except BaseExceptionGroup as group:
            _fail(_first(group), ctx)
        except Exception as error:
            if type(error).__module__.startswith("tradingsignals"):
                _fail(error, ctx)
            raise
        return None


@click.group(cls=OneLineErrors, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__)
def main() -> None:
    """Trading signals: bars in, a policy decides, positions are tracked, every step is durable and streamed.

    \b
    Start everything:            tradingsignals up
    Watch signals go by:         tradingsignals watch
    Replay a file of bars:       tradingsignals up --bars usdcop.csv.gz
    The same into a running one: tradingsignals replay usdcop.csv.gz
    See every setting:           tradingsignals config
    Is the set-up right?         tradingsignals doctor
    Will this model file serve?  tradingsignals check model.onnx
    Make a foreign one serve:    tradingsignals stamp model.onnx --out new.onnx

    Settings are environment variables, or lines in a .env file in the working folder.
    """


@main.command()
@click.option("--bars", type=click.Path(path_type=Path, dir_okay=False, exists=True), help="Replay this file of bars.")
@click.option("--speed", type=FiniteRange(min=0), help="Times faster than the market; 0 does not wait.")
@click.option("--feed", type=click.Choice(list(FEEDS)), help="Where bars come from.")
@click.option("--servers", type=click.IntRange(1, 64), help="Servers to start, for a machine with more cores.")
def up(bars: Path | None, speed: float | None, feed: str | None, servers: int | None) -> None:
    """Start everything: the database if none is named, the server, and the edge on the public port.

    Without options a simulated market goes by, so that there is something to see at once. With several servers SIGHUP
    restarts one after the other, without an interruption.
    """
    from ..commands import up as command

    settings = _settings(bars, speed, feed, servers)
    run(command.up(settings) if settings.servers == 1 else command.up_multi_server(settings))


@main.command()
@click.option("--feed", type=click.Choice(list(FEEDS)), help="Where bars come from.")
def serve(feed: str | None) -> None:
    """Start the gRPC server alone, for an edge that runs elsewhere."""
    from ..commands import up as command

    settings = _settings(None, None, feed)
    run(command.serve(settings))


@main.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("--speed", type=FiniteRange(min=0), default=0.0, help="Times faster than the market; 0 does not wait.")
@click.option("--symbol", help="Symbol of the bars, for a file without a symbol column.")
@address_option
@click.option("--force", is_flag=True, help="Publish even to a service that makes its own bars of the same symbol.")
def replay(file: Path, speed: float, symbol: str | None, address: str, force: bool) -> None:
    """Publish the bars of FILE (CSV, CSV.gz or Parquet) to a running service.

    The file needs the columns time, symbol, open, high, low and close; volume is optional. Its rows may come in any
    order. Bars that the service has already are acknowledged as duplicates, so a replay that was broken off is simply
    started again.

    The exit code is 1 if the replay could not begin or go on; 3 if bars were refused, or stored without a decision,
    because newer ones had been processed before (LATE), or if the file is damaged and was read up to there.
    """
    from ..commands.replay import replay as command

    sys.exit(run(command(file, speed=speed, symbol=symbol, address=address, force=force)))


@main.command()
@click.option("--example", is_flag=True, help="As a commented .env file with the defaults.")
def config(example: bool) -> None:
    """Print every setting: its value now, and what it means."""
    from ..commands import config as command

    click.echo(command.example() if example else command.table(Settings.from_env()), nl=False)


@main.command()
@click.option("--markdown", is_flag=True, help="As the page docs/features.md.")
def features(markdown: bool) -> None:
    """Print the catalogue of features that a model file can name: formula, unit, warm-up and bounds of each."""
    from ..commands import features as command

    click.echo(command.page() if markdown else command.table(), nl=False)


@main.command()
def migrate() -> None:
    """Bring the database's schema up to date, and say what was done. `up` and `serve` do it too."""
    from ..commands import migrate as command

    sys.exit(run_task(command.migrate(_settings(None, None, None))))


@main.group()
def ledger() -> None:
    """Work on the outcomes of signals."""


@ledger.command()
def rebuild() -> None:
    """Make the outcomes anew from the stored bars, signals and positions, as far back as the log is kept.

    Needed when a new version of the rules says so; allowed at any time, also while servers run.
    """
    from ..commands import ledger as command

    sys.exit(run_task(command.rebuild(_settings(None, None, None))))


@main.command()
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder to write to.")
@click.option(
    "--backend",
    "backends",
    multiple=True,
    default=("127.0.0.1:50051",),
    show_default=True,
    help="Where a gRPC server listens; may be given several times. A name may stand for several.",
)
@click.option("--listen", default="0.0.0.0:8003", show_default=True, help="Where the edge is to listen.")
@click.option(
    "--fanout",
    "--lean",
    "fanout",
    multiple=True,
    help="Where it serves streams and unary calls at less cost (FANOUT_PORT), if it does; may be given several times.",
)
@click.option(
    "--allowed-hosts",
    help="Hosts that callers may name beside localhost, separated by commas, instead of the setting ALLOWED_HOSTS.",
)
@click.option("--metrics", help="Where Envoy's own metrics are to be, GET /stats/prometheus; nowhere if absent.")
def edge(
    out: Path,
    backends: tuple[str, ...],
    listen: str,
    fanout: tuple[str, ...],
    allowed_hosts: str | None,
    metrics: str | None,
) -> None:
    """Write all that an Envoy of your own needs: its configuration and the files it serves.

    The settings of the public port are those of `up`: TLS_CERT, JWT_ISSUER, CORS_ORIGINS, TRUSTED_PROXIES and so on,
    tokens with AUTH=on. EDGE_SECRET must be that of the servers, GRPC_TLS_CERT of the same authority as theirs. Envoy
    reads certificates and JWKS by the same paths.
    """
    from ..commands import edge as command

    command.write(Settings.from_env(allowed_hosts=allowed_hosts), out, backends, listen, fanout, metrics)


main.add_command(check)
main.add_command(export)
main.add_command(stamp)
main.add_command(keys)
main.add_command(notifications)
main.add_command(explain)
main.add_command(watch)
main.add_command(backtest)
main.add_command(parity)
main.add_command(report)
main.add_command(backup)
main.add_command(restore)
main.add_command(doctor)


def _settings(bars: Path | None, speed: float | None, feed: str | None, servers: int | None = None) -> Settings:
    if bars is not None:
        feed = REPLAY.name
    settings = Settings.from_env(feed=feed, replay_file=bars, servers=servers)
    if speed is not None and settings.feed.speed is not None:
        settings = Settings.from_env(feed=feed, replay_file=bars, servers=servers, **{settings.feed.speed: speed})
    logs.configure(settings.log_level, settings.log_format)
    for message in settings.ignored():
        logging.getLogger(__name__).warning(message)
    return settings


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first failure of a group of tasks; the others were cancelled because of it."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _fail(error: BaseException, context: click.Context) -> None:
    if not type(error).__module__.startswith("tradingsignals"):
        raise error
    click.echo(f"tradingsignals: {error}", err=True)
    sys.exit(context.meta.get(ERROR_CODE, 1))
