"""The command line, `tradingsignals`: what commands take. What they do stands in bootstrap and in commands/."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

import click

from . import __version__, logs
from .adapters.feeds.registry import FEEDS
from .adapters.feeds.replay import REPLAY
from .cli_backtest import backtest, parity, report
from .cli_callers import DEFAULT_ADDRESS, explain, watch
from .cli_keys import keys
from .cli_operations import backup, doctor, restore
from .cli_run import ERROR_CODE, run, run_task
from .config import InvalidSettings, Settings
from .domain.errors import StorageUnavailable


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
@click.option("--speed", type=click.FloatRange(min=0), help="Times faster than the market; 0 does not wait.")
@click.option("--feed", type=click.Choice(list(FEEDS)), help="Where bars come from.")
@click.option("--servers", type=click.IntRange(1, 64), help="Servers to start, for a machine with more cores.")
def up(bars: Path | None, speed: float | None, feed: str | None, servers: int | None) -> None:
    """Start everything: the database if none is named, the server, and the edge on the public port.

    Without options a simulated market goes by, so that there is something to see at once. With several servers SIGHUP
    restarts one after the other, without an interruption.
    """
    from .commands import up as command

    settings = _settings(bars, speed, feed, servers)
    run(command.up(settings) if settings.servers == 1 else command.up_multi_server(settings))


@main.command()
@click.option("--feed", type=click.Choice(list(FEEDS)), help="Where bars come from.")
def serve(feed: str | None) -> None:
    """Start the gRPC server alone, for an edge that runs elsewhere."""
    from .commands import up as command

    settings = _settings(None, None, feed)
    run(command.serve(settings))


@main.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option(
    "--speed", type=click.FloatRange(min=0), default=0.0, help="Times faster than the market; 0 does not wait."
)
@click.option("--symbol", help="Symbol of the bars, for a file without a symbol column.")
@click.option("--address", default=DEFAULT_ADDRESS, show_default=True, help="Where the service listens.")
@click.option("--force", is_flag=True, help="Publish even to a service that makes its own bars of the same symbol.")
def replay(file: Path, speed: float, symbol: str | None, address: str, force: bool) -> None:
    """Publish the bars of FILE (CSV, CSV.gz or Parquet) to a running service.

    The file needs the columns time, symbol, open, high, low and close; volume is optional. Its rows may come in any
    order. Bars that the service has already are acknowledged as duplicates, so a replay that was broken off is simply
    started again.

    The exit code is 1 if the replay could not begin or go on; 3 if bars were stored without a decision, because newer
    ones had been processed before (LATE), or if the file is damaged and was read up to there.
    """
    from .commands.replay import replay as command

    sys.exit(run(command(file, speed=speed, symbol=symbol, address=address, force=force)))


@main.command()
@click.option("--example", is_flag=True, help="As a commented .env file with the defaults.")
def config(example: bool) -> None:
    """Print every setting: its value now, and what it means."""
    from .commands import config as command

    click.echo(command.example() if example else command.table(Settings.from_env()), nl=False)


@main.command()
@click.option("--markdown", is_flag=True, help="As the page docs/features.md.")
def features(markdown: bool) -> None:
    """Print the catalogue of features that a model file can name: formula, unit, warm-up and bounds of each."""
    from .commands import features as command

    click.echo(command.page() if markdown else command.table(), nl=False)


@main.command()
def migrate() -> None:
    """Bring the database's schema up to date, and say what was done. `up` and `serve` do it too."""
    from .commands import migrate as command

    sys.exit(run_task(command.migrate(_settings(None, None, None))))


@main.group()
def ledger() -> None:
    """Work on the outcomes of signals."""


@ledger.command()
def rebuild() -> None:
    """Make the outcomes anew from the stored bars, signals and positions, as far back as the log is kept.

    Needed when a new version of the rules says so; allowed at any time, also while servers run.
    """
    from .commands import ledger as command

    sys.exit(run_task(command.rebuild(_settings(None, None, None))))


@main.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True))
@click.option(
    "--bars",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Show what it decides on the newest bars of this file (CSV, CSV.gz or Parquet), of its first symbol.",
)
@click.option(
    "--features",
    "reference",
    help="Features of your own that it was trained on, as module:attribute; FEATURES if it is not given.",
)
def check(file: Path, bars: Path | None, reference: str | None) -> None:
    """Tell whether the model FILE (or the newest in a folder) will serve, and what it is; or why not.

    It is loaded and tried as the service does it. Features of your own are run on made-up markets, which finds
    look-ahead, chance and numbers that are not finite. The exit code is 1 if it will not serve. If `stamp` can help,
    its command is printed too, with what is known.
    """
    from .adapters.onnx.errors import ModelRefused
    from .adapters.onnx.policy import OnnxPolicy
    from .adapters.onnx.repository import newest_model
    from .adapters.python_features import PYTHON, load_features
    from .commands.bar_trial import decisions_on
    from .commands.check import check as command
    from .commands.stamp import stamp_command

    settings = Settings.from_env()
    named = reference or settings.features
    own = None if named is None else load_features(named)
    model = newest_model(file)
    try:
        click.echo(command(model, own))
        policy = OnnxPolicy(model, own=own)
        if bars is not None or policy.features.name.startswith(PYTHON):
            click.echo(decisions_on(policy, bars, settings))
    except ModelRefused as refused:
        stamping = stamp_command(model) if "tradingsignals stamp" in refused.reason else None
        if stamping is not None:
            click.echo(f"To stamp it: {stamping}")
        raise


@main.command()
@click.argument("policy", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="New file to write.")
@click.option(
    "--features",
    help="What it observes: m5-v1, a list such as 'rsi(14), return(3)', bars, or your own as module:attribute.",
)
@click.option(
    "--lookback", type=click.IntRange(min=1), help="Bars that the features are computed from, or that it takes."
)
@click.option("--stack", type=click.IntRange(min=1), default=1, show_default=True, help="Frames, as VecFrameStack has.")
@click.option("--interval", default="5m", show_default=True, help="Of the bars that it was trained on.")
@click.option(
    "--actions",
    help="What actions 0, 1, ... were in training, such as HOLD,BUY,SELL; two may be the same.",
)
@click.option("--branch", type=click.IntRange(min=0), help="The branch of MultiDiscrete actions that is the action.")
@click.option("--trust", multiple=True, help="A class of your own in the zip, as module:Class, which is imported.")
@click.option(
    "--vecnormalize",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="What VecNormalize.save() wrote, if the policy was trained behind it.",
)
@click.option(
    "--observations",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Raw observations of the training, one a row, as numpy.save writes them, to compare on.",
)
@click.option(
    "--actions-taken",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="What predict(deterministic=True) returned at each of them, to compare with.",
)
@click.option(
    "--episode-starts",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Whether an episode began at each of them; without it, at the first only.",
)
@click.option("--name", help="Name of the model; that of the zip if it is not given.")
@click.option("--version", help="Version, which stands on every signal; a hash of the file if it is not given.")
@click.option(
    "--reset",
    type=click.Choice(["session", "never"]),
    default="session",
    show_default=True,
    help="When the recurrent state goes back to zeros: as episodes began in training.",
)
@click.option("--training-range", help="The data it was trained on, such as 2021-01-04..2022-12-30.")
@click.option("--git-revision", help="Of the code that it was trained with.")
def export(policy: Path, out: Path, actions: str | None, **options: Any) -> None:
    """Turn POLICY, a zip of stable-baselines3 or sb3-contrib, into a model file, and prove that it decides the same.

    RecurrentPPO, PPO, A2C, MaskablePPO, DQN and QRDQN can be exported. A zip does not contain what --features and
    --actions say. The file is written only if its outputs and states stay with torch's over thousands of random steps
    and on what was recorded in training. Needs torch and sb3-contrib: pip install 'tradingsignals-server[train]'.

    Of a POLICY that is an ONNX file, `stamp` is what is meant: it is stamped with --actions and m5-v1.
    """
    from .commands.actions import parse_actions
    from .commands.export import export as command
    from .commands.export_options import ExportOptions, parse_interval, parse_range
    from .commands.stamp import StampOptions
    from .commands.stamp import stamp as stamp_command
    from .domain.features import M5_V1
    from .domain.recurrent_state import ResetRule

    named = None if actions is None else parse_actions(actions)
    if policy.suffix == ".onnx":
        features = options["features"] or M5_V1.name
        stamped = StampOptions(features=features, actions=named, name=options["name"], version=options["version"])
        click.echo(stamp_command(policy, out, stamped))
        return
    if options["training_range"] is not None:
        options["training_range"] = parse_range(options["training_range"])
    options["interval"] = parse_interval(options["interval"])
    options["reset"] = ResetRule(options["reset"])
    click.echo(command(policy, out, ExportOptions(actions=named, **options)).report())


@main.command()
@click.argument("model", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="New file to write.")
@click.option(
    "--features",
    help="What it observes: m5-v1; expressions such as 'rsi(14),return(3)', or @FILE with one a line; bars; or your "
    "own as module:attribute.",
)
@click.option("--actions", help="Action of each column of its output, such as SELL,HOLD,BUY; one may come twice.")
@click.option(
    "--lookback", type=click.IntRange(min=1), help="Bars that the features are computed from; 100 if not given."
)
@click.option("--stack", type=click.IntRange(min=1), help="Frames in an observation, the oldest first; 1 if not given.")
@click.option("--interval", help="Interval of its bars: 1m, 5m, 15m, 30m, 1h, 4h or 1d.")
@click.option("--reset", type=click.Choice(["session", "never", "none"]), help="When its recurrent state is reset.")
@click.option(
    "--output",
    type=click.Choice(["probabilities", "logits", "action_values", "action"]),
    help="Kind of its output: action_values are those of a DQN, action is the index of a column.",
)
@click.option("--output-tensor", help="Name of its output, if it has several.")
@click.option("--state", help="Tensors of its recurrent state: INPUT:OUTPUT, separated by commas.")
@click.option(
    "--normalisation",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="JSON with mean, and variance or scale, by which the service is to scale its observation.",
)
@click.option("--name", help="Name of the model; that of the folder, or onnx, if it is not given.")
@click.option("--version", help="Version, which stands on every signal; the name of the file if it is not given.")
@click.option("--type", "kind", help="Kind of model, such as PPO-LSTM; onnx if it is not given.")
def stamp(model: Path, out: Path, actions: str | None, kind: str | None, **options: Any) -> None:
    """Write a copy of the ONNX file MODEL that says what it takes and gives, so that the service can serve it.

    Weights that it keeps in other files of its folder are put into the copy. Nothing is guessed: if an option is
    missing, the message has the whole command with what is known. `check` prints it too.
    """
    from .adapters.onnx.metadata import OutputKind
    from .commands.actions import parse_actions
    from .commands.stamp import StampOptions
    from .commands.stamp import stamp as command
    from .domain.recurrent_state import ResetRule

    for name, enumeration in (("reset", ResetRule), ("output", OutputKind)):
        options[name] = None if options[name] is None else enumeration(options[name])
    named = None if actions is None else parse_actions(actions)
    click.echo(command(model, out, StampOptions(actions=named, type=kind, **options)))


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
    tokens with AUTH=on. EDGE_SECRET must be that of the servers. Envoy reads certificates and JWKS by the same paths.
    """
    from .commands import edge as command

    command.write(Settings.from_env(allowed_hosts=allowed_hosts), out, backends, listen, fanout, metrics)


main.add_command(keys)
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
