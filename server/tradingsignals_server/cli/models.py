"""The command line of model files: `tradingsignals check`, `export` and `stamp`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ..config.settings import Settings


@click.command()
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
    from ..adapters.onnx.errors import ModelRefused
    from ..adapters.onnx.policy import OnnxPolicy
    from ..adapters.onnx.repository import newest_model
    from ..adapters.python_features import PYTHON, load_features
    from ..commands.bar_trial import decisions_on
    from ..commands.check import check as command
    from ..commands.stamp import stamp_command

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


@click.command()
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
    help="Raw observations of the training, one a row, as numpy.save writes them, to compare on, and later ones with.",
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
    from ..commands.actions import parse_actions
    from ..commands.export import export as command
    from ..commands.export_options import ExportOptions, parse_interval, parse_range
    from ..commands.stamp import StampOptions
    from ..commands.stamp import stamp as stamp_command
    from ..domain.features import M5_V1
    from ..domain.recurrent_state import ResetRule

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


@click.command()
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
@click.option(
    "--observations",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Raw observations of the training, as numpy.save writes them: what it gets later is compared with these.",
)
@click.option("--name", help="Name of the model; that of the folder, or onnx, if it is not given.")
@click.option("--version", help="Version, which stands on every signal; the name of the file if it is not given.")
@click.option("--type", "kind", help="Kind of model, such as PPO-LSTM; onnx if it is not given.")
def stamp(model: Path, out: Path, actions: str | None, kind: str | None, **options: Any) -> None:
    """Write a copy of the ONNX file MODEL that says what it takes and gives, so that the service can serve it.

    Weights that it keeps in other files of its folder are put into the copy. Nothing is guessed: if an option is
    missing, the message has the whole command with what is known. `check` prints it too.
    """
    from ..adapters.onnx.metadata import OutputKind
    from ..commands.actions import parse_actions
    from ..commands.stamp import StampOptions
    from ..commands.stamp import stamp as command
    from ..domain.recurrent_state import ResetRule

    for name, enumeration in (("reset", ResetRule), ("output", OutputKind)):
        options[name] = None if options[name] is None else enumeration(options[name])
    named = None if actions is None else parse_actions(actions)
    click.echo(command(model, out, StampOptions(actions=named, type=kind, **options)))
