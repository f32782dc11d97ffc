"""Train policies, select one on the validation range, calibrate and export it, and write its model card."""

from __future__ import annotations

import os
import subprocess
from dataclasses import asdict, fields, replace
from hashlib import sha256
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

import click
import torch
from rich.console import Console

from tradingsignals_server.adapters.feeds.rows import UnreadableFile
from tradingsignals_server.adapters.onnx.policy import OnnxPolicy
from tradingsignals_server.commands.arrays import distributions_of
from tradingsignals_server.commands.export import Exported, ExportOptions, export
from tradingsignals_server.domain.features import FeaturesFailed
from tradingsignals_server.domain.intervals import parse_interval

from . import release
from .card import write_card
from .display import TrainingDisplay
from .episode import ACTIONS
from .history import History, bars_of
from .observed import Observed, features_text
from .outcomes import Outcomes
from .recipe import LEAST_ACTING, RECIPE_FILE, Recipe, rules_for
from .runs import Run, RunFailed, run_all, runs_of
from .split import Split
from .train import Candidate, Course
from .trial import win_calibration

CONSOLE = Console(highlight=False)


@click.command(help=__doc__)
@click.option("--data", type=click.Path(path_type=Path), required=True, help="The bars, CSV or Parquet.")
@click.option(
    "--recipe",
    "recipe_file",
    type=click.Path(path_type=Path),
    help="A recipe.toml with all parameters, such as the one beside a model; options below win over it.",
)
@click.option(
    "--features", help="What it observes: m5-v1, or expressions such as 'rsi(14),return(3)', or @FILE with them."
)
@click.option("--lookback", type=click.IntRange(1), help="Bars that the features are computed from.")
@click.option("--interval", help="Interval of the bars, 1m to 1h.")
@click.option("--seed", type=int, help="Seed of the first run of a variant.")
@click.option("--seeds", type=click.IntRange(1), help="Runs of each warm variant.")
@click.option("--timesteps", type=click.IntRange(1), help="Bars of experience in a run.")
@click.option(
    "--spread", help="What a round trip pays for it: in price, or with bp or pip, such as 1.0, 2bp or 0.9pip."
)
@click.option(
    "--tried", type=click.IntRange(0), help="Runs tried before on the same data, for the deflated Sharpe ratio."
)
@click.option("--jobs", type=click.IntRange(1), help="Runs at once; one for each core if it is not given.")
@click.option("--name", help="Name of the model; ppo-lstm- and the symbol if it is not given.")
@click.option("--version", help="Version, never one that is there; the next minor one if it is not given.")
@click.option("--models", type=click.Path(path_type=Path), default="models", show_default=True, help="Where it goes.")
@click.option("--note", "notes", multiple=True, help="A sentence for the card's limits; may be given again.")
@click.option("--work", type=click.Path(path_type=Path), default="build/training", show_default=True)
def main(
    *,
    data: Path,
    recipe_file: Path | None,
    jobs: int | None,
    name: str | None,
    version: str | None,
    models: Path,
    work: Path,
    **changes: Any,
) -> None:
    """Run the command that its help describes."""
    # More threads would change the order of sums, and so the last bits; one is as fast for so small a network.
    torch.set_num_threads(1)
    try:
        recipe = _recipe(Recipe() if recipe_file is None else Recipe.read(recipe_file), **changes)
        observed = Observed.of(recipe)
        history = History.read(data, observed.features, observed.interval)
        split = Split.of(history, recipe.months)
        rules = rules_for(history.symbol, recipe.spread)
        folder = release.folder_for(models / (name or release.name_for(history.symbol)), version)
    except (UnreadableFile, FeaturesFailed, release.Refused, ValueError) as error:
        raise click.ClickException(str(error)) from error
    sessions = ", ".join(f"{len(getattr(split, one.name))} of {one.name}" for one in fields(split))
    CONSOLE.print(f"{folder}: {len(history.bars)} bars, sessions: {sessions}", markup=False, soft_wrap=True)
    course = Course(history, split, Outcomes.of(history, split.training, rules), rules)
    runs = runs_of(recipe)
    try:
        with TrainingDisplay(CONSOLE, runs) as display:
            candidates = run_all(course, runs, work, jobs or len(os.sched_getaffinity(0)), display.show)
    except RunFailed as failed:
        raise click.ClickException(str(failed)) from failed
    chosen = chosen_of(candidates)
    one = next(one for one in runs if one.made(chosen))
    if not chosen.acts:
        raise click.ClickException(
            f"no policy acts on {LEAST_ACTING:.0%} of the bars at a confidence of {rules.confidence_threshold} and a "
            f"spread of {rules.spread.of(history.symbol)}; none is exported: is --spread that of {history.symbol}?"
        )
    record = {
        "chosen": asdict(chosen),
        "runs": [_summary(candidates, each) for each in runs],
        "candidates": [candidate.sharpe for candidate in candidates],
        "data_sha256": sha256(data.read_bytes()).hexdigest(),
        "packages": {package: version_of(package) for package in ("torch", "sb3-contrib", "gymnasium", "numpy")},
        "minutes": round(sum(os.times()[:4]) / 60.0, 1),
    }
    try:
        with release.new_version(folder) as written:
            exported = _export(one.folder(work), written / "model.onnx", folder, course, recipe)
            (written / RECIPE_FILE).write_text(recipe.text(), encoding="utf-8")
            card = write_card(OnnxPolicy(exported.path), written, history, split, rules, recipe, record)
    except release.Refused as refused:
        raise click.ClickException(str(refused)) from refused
    CONSOLE.print(replace(exported, path=folder / "model.onnx").report(), markup=False)
    CONSOLE.print(f"\n{card}\n{folder}: written after {record['minutes']:.0f} minutes of one core", markup=False)


def chosen_of(candidates: list[Candidate]) -> Candidate:
    """The best candidate that PPO has trained, by the validation range alone."""
    return max((candidate for candidate in candidates if candidate.timesteps), key=lambda candidate: candidate.score)


def _recipe(
    recipe: Recipe,
    *,
    seed: int | None,
    seeds: int | None,
    timesteps: int | None,
    notes: tuple[str, ...],
    **entries: Any,
) -> Recipe:
    """The recipe with the options of the command line."""
    if seed is not None or seeds is not None:
        first = recipe.seeds[0] if seed is None else seed
        recipe = replace(recipe, seeds=tuple(range(first, first + (seeds or len(recipe.seeds)))))
    if timesteps is not None:
        recipe = recipe.with_timesteps(timesteps)
    given = {name: value for name, value in entries.items() if value is not None}
    if "features" in given:
        # A file of expressions may change, so the recipe has what is in it.
        given["features"] = features_text(given["features"])
    return replace(recipe, notes=(*recipe.notes, *notes), **given)


def _export(trained: Path, out: Path, folder: Path, course: Course, recipe: Recipe) -> Exported:
    """The model file of the selected candidate, whose policy is in `trained`, with its calibration."""
    options = ExportOptions(
        features=recipe.features,
        lookback=recipe.lookback,
        interval=parse_interval(recipe.interval),
        actions=ACTIONS,
        vecnormalize=trained / "vecnormalize.pkl",
        name=folder.parent.name,
        version=folder.name,
        training_range=course.history.span(course.split.training),
        git_revision=_git_revision(),
    )
    exported = export(trained / "policy.zip", out, options)
    policy = OnnxPolicy(out)
    observations = course.history.observations[bars_of(course.split.training)]
    release.set_measured(
        out,
        win_calibration(policy, course.history, course.split, course.rules),
        distributions_of(policy.specification.features, observations),
    )
    return replace(exported, specification=OnnxPolicy(out).specification)


def _summary(candidates: list[Candidate], one: Run) -> dict[str, object]:
    """The best candidate of a run, and the one before PPO."""
    own = [candidate for candidate in candidates if one.made(candidate)]
    return {"before": asdict(next(c for c in own if not c.timesteps)), "best": asdict(chosen_of(own))}


def _git_revision() -> str | None:
    """The git revision of the code, with "-dirty" if files were changed since; None outside a repository."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return result.stdout.strip() or None
