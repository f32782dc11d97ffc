"""Train policies, select one on the validation range, export it, and write its model card."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from importlib.metadata import version as version_of
from pathlib import Path
from time import process_time

import click
import torch
from rich.console import Console

from tradingsignals_server.adapters.feeds.rows import UnreadableFile
from tradingsignals_server.adapters.onnx.policy import OnnxPolicy
from tradingsignals_server.commands.export import Exported, ExportOptions, export
from tradingsignals_server.domain.features import M5_V1

from . import release
from .calibration import LEAST_ACTING
from .card import FILLS, write_card
from .episode import ACTIONS
from .history import History
from .outcomes import Outcomes
from .recipe import DEFAULT_SPREAD, RECIPES, Recipe, rules_for
from .split import Split
from .train import Candidate, Course, run

CONSOLE = Console(highlight=False)


@dataclass(frozen=True, slots=True)
class Plan:
    """One run: a recipe and a seed."""

    recipe: Recipe
    seed: int

    def folder(self, work: Path) -> Path:
        """Folder of its best policy."""
        return work / f"{self.recipe.name}-{self.seed}"


@click.command(help=__doc__)
@click.option("--data", type=click.Path(path_type=Path), required=True, help="The bars, CSV or Parquet.")
@click.option("--seed", type=int, default=1, show_default=True, help="Seed of the first run of a recipe.")
@click.option("--seeds", type=click.IntRange(1), default=3, show_default=True, help="Runs of each warm recipe.")
@click.option("--timesteps", type=click.IntRange(1), help="Bars of experience in a run, instead of the recipe's.")
@click.option(
    "--spread",
    default=DEFAULT_SPREAD,
    show_default=True,
    help="What a round trip pays for it: in price, or with bp or pip, such as 1.0, 2bp or 0.9pip.",
)
@click.option("--name", help="Name of the model; ppo-lstm- and the symbol if it is not given.")
@click.option("--version", help="Version, never one that is there; the next minor one if it is not given.")
@click.option("--models", type=click.Path(path_type=Path), default="models", show_default=True, help="Where it goes.")
@click.option("--note", "notes", multiple=True, help="A sentence for the card's limits; may be given again.")
@click.option("--work", type=click.Path(path_type=Path), default="build/training", show_default=True)
def main(
    *,
    data: Path,
    seed: int,
    seeds: int,
    timesteps: int | None,
    spread: str,
    name: str | None,
    version: str | None,
    models: Path,
    notes: tuple[str, ...],
    work: Path,
) -> None:
    """Run the command that its help describes."""
    # More threads would change the order of sums, and so the last bits; one is as fast for so small a network.
    torch.set_num_threads(1)
    try:
        history = History.read(data)
        split = Split.of(history)
        rules = rules_for(history.symbol, spread)
        folder = release.folder_for(models / (name or release.name_for(history.symbol)), version)
    except (UnreadableFile, release.Refused, ValueError) as error:
        raise click.ClickException(str(error)) from error
    CONSOLE.print(f"{folder}: {len(history.bars)} bars, sessions: {len(split.training)} for training, ", end="")
    CONSOLE.print(f"{len(split.validation)} for validation, {len(split.test)} for the test")
    course = Course(history, split, Outcomes.of(history, split.training + split.validation, rules), rules)
    plans = _plans(seed, seeds, timesteps)
    candidates = _run_all(course, plans, work)
    chosen = max((c for c in candidates if c.timesteps), key=lambda candidate: candidate.score)
    if chosen.temperature is None:
        raise click.ClickException(
            f"no policy acts on {LEAST_ACTING:.0%} of the bars without claiming too much, at a spread of "
            f"{rules.spread.of(history.symbol)}; none is exported: is --spread that of {history.symbol}?"
        )
    plan = next(p for p in plans if (p.recipe.name, p.seed) == (chosen.recipe, chosen.seed))
    record = {
        "chosen": asdict(chosen),
        "recipe": asdict(plan.recipe),
        "runs": [_summary(candidates, p) for p in plans],
        "spread": str(rules.spread.of(history.symbol)),
        "fills": FILLS,
        "data_sha256": sha256(data.read_bytes()).hexdigest(),
        "packages": {package: version_of(package) for package in ("torch", "sb3-contrib", "gymnasium", "numpy")},
        "minutes": round(process_time() / 60.0, 1),
        "notes": notes,
    }
    try:
        with release.new_version(folder) as written:
            exported = _export(plan.folder(work), written / "model.onnx", folder, course, chosen)
            card = write_card(OnnxPolicy(exported.path), written, history, split, rules, record)
    except release.Refused as refused:
        raise click.ClickException(str(refused)) from refused
    CONSOLE.print(replace(exported, path=folder / "model.onnx").report(), markup=False)
    CONSOLE.print(f"\n{card}\n{folder}: written after {record['minutes']:.0f} minutes of one core", markup=False)


def _export(trained: Path, out: Path, folder: Path, course: Course, chosen: Candidate) -> Exported:
    """The model file of the selected candidate, whose policy is in `trained`."""
    options = ExportOptions(
        features=M5_V1.name,
        actions=ACTIONS,
        vecnormalize=trained / "vecnormalize.pkl",
        name=folder.parent.name,
        version=folder.name,
        training_range=course.history.span(course.split.training),
        temperature=chosen.temperature,
        calibration_range=course.history.span(course.split.validation),
        git_revision=_git_revision(),
    )
    return export(trained / "policy.zip", out, options)


def _plans(seed: int, seeds: int, timesteps: int | None) -> list[Plan]:
    """Every recipe with every seed; a cold start, which is for comparison, with the first seed only."""
    return [
        Plan(recipe if timesteps is None else replace(recipe, timesteps=timesteps), number)
        for recipe in RECIPES
        for number in range(seed, seed + (seeds if recipe.imitation_epochs else 1))
    ]


def _run_all(course: Course, plans: Sequence[Plan], work: Path) -> list[Candidate]:
    candidates = list[Candidate]()
    for plan in plans:
        CONSOLE.print(f"\n{plan.recipe.name}, seed {plan.seed}: on the validation range, net percent of a session")
        candidates += run(course, plan.recipe, plan.seed, plan.folder(work), _tell)
    return candidates


def _tell(candidate: Candidate) -> None:
    CONSOLE.print(
        f"  {candidate.timesteps:>7} steps  {candidate.mean_pct:+.4f} ± {candidate.standard_error:.4f}"
        f"  {candidate.trades} trades  "
        + ("no temperature fits" if candidate.temperature is None else f"temperature {candidate.temperature:.2f}")
    )


def _summary(candidates: Sequence[Candidate], plan: Plan) -> dict[str, object]:
    """The best candidate of a run, and the one before PPO."""
    own = [c for c in candidates if (c.recipe, c.seed) == (plan.recipe.name, plan.seed)]
    before = next(c for c in own if not c.timesteps)
    best = max((c for c in own if c.timesteps), key=lambda candidate: candidate.score)
    return {"before": asdict(before), "best": asdict(best)}


def _git_revision() -> str | None:
    """The git revision of the code, with "-dirty" if files were changed since; None outside a repository."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return result.stdout.strip() or None
