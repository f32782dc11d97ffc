"""The model card, generated from figures and never edited: the policy, and its results out of sample."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
import jinja2
import numpy as np

from tradingsignals_server.adapters.feeds.rows import UnreadableFile
from tradingsignals_server.adapters.onnx.declared_features import BARS, DeclaredFeatures
from tradingsignals_server.adapters.onnx.errors import ModelRefused
from tradingsignals_server.adapters.onnx.policy import OnnxPolicy
from tradingsignals_server.domain.calibration import LEAST_CASES, SideCalibration, WinCalibration
from tradingsignals_server.domain.intervals import interval_name
from tradingsignals_server.domain.risk import RiskRules

from .calibration import bins_of
from .evaluation import Result
from .history import History
from .observed import Observed
from .recipe import LEAST_ACTING, RECIPE_FILE, Recipe, rules_for
from .split import Split
from .trial import BEST_SESSIONS, COINS, Deflated, Evaluation, Foretelling, Trial, evaluate

MOST_COINS = 0.05
"""If a larger fraction of the coins does as well, the policy's choice of side has no value."""
LEAST_SKILL = 0.95
"""Probability that the Sharpe ratio is above that of the best of as many trials without skill, to speak of skill."""
LEAST_AUC = 0.03
"""An AUC that is nearer to one half says next to nothing."""

Record = Mapping[str, Any]
"""Contents of training.json."""
Figures = dict[str, Any]
"""Values of a line of the card, by the names in card.md.j2."""


def write_card(
    policy: OnnxPolicy, folder: Path, history: History, split: Split, rules: RiskRules, recipe: Recipe, record: Record
) -> str:
    """Evaluate the policy; write its card and the record of its training into `folder`. Returns the card.

    Args:
        policy: the model file.
        folder: where both are written.
        history: bars of the training and of what was held out.
        split: the ranges of `history`.
        rules: rules and costs of training and evaluation.
        recipe: what it was trained by.
        record: contents of training.json but for `evaluation`.
    """
    evaluation = evaluate(policy, history, split, rules)
    card = model_card(policy, evaluation, history, split, rules, recipe, record)
    text = json.dumps({**record, "evaluation": evaluation.record()}, indent=1, allow_nan=False)
    _replace(folder / "training.json", text + "\n")
    _replace(folder / "MODEL_CARD.md", card)
    return card


def model_card(
    policy: OnnxPolicy,
    evaluation: Evaluation,
    history: History,
    split: Split,
    rules: RiskRules,
    recipe: Recipe,
    record: Record,
) -> str:
    """The card of the policy in a model file, in Markdown; every sentence depends on the figures. See `write_card`."""
    made, trial, chosen = policy.specification, evaluation.trial, record["chosen"]
    deflated = evaluation.deflated(record["candidates"], recipe.tried)
    return _template().render(
        name=f"{made.name} {made.version}",
        verdict=verdict(trial.policy),
        conclusion=conclusion(trial, deflated),
        sessions=len(split.test),
        policy=_row("**this policy**", trial.policy),
        late=_row("this policy, filled one bar later", trial.late),
        best={"count": BEST_SESSIONS, "mean": trial.policy.mean_without_best(BEST_SESSIONS)},
        coins={"count": COINS, "better": trial.as_good},
        rules=rules,
        spread=rules.spread.of(history.symbol),
        commission=rules.commission.of(history.symbol),
        rows=_rows(trial, evaluation),
        deflated=deflated,
        worth=worth(evaluation.foretelling()),
        chance=evaluation.chance,
        foretelling=_foretelling(evaluation, rules),
        confidences=_confidences(evaluation),
        win=policy.description.win_calibration,
        least_cases=LEAST_CASES,
        sides=_sides(policy.description.win_calibration),
        win_bins=_win_bins(policy.description.win_calibration, evaluation),
        symbol=history.symbol,
        ranges=_ranges(split),
        observed=observed_text(made.features),
        interval=interval_name(made.interval),
        lookback=made.features.lookback_bars,
        variant=next(one for one in recipe.variants if one.name == chosen["variant"]),
        chosen=chosen,
        runs=record["runs"],
        tried=recipe.tried,
        least_acting=LEAST_ACTING,
        minutes=record["minutes"],
        recipe_file=RECIPE_FILE,
        sha256=made.file_sha256,
        flat=np.mean([bar.high == bar.low for bar in history.bars]),
        notes=recipe.notes,
    )


def observed_text(features: DeclaredFeatures) -> str:
    """Name what the policy observes."""
    if features.expressions:
        return (
            f"{len(features.names)} features of the catalogue ({', '.join(f'`{one}`' for one in features.expressions)})"
        )
    if features.specification == BARS:
        return "the bars themselves"
    return f"{len(features.names)} features, {features.specification}"


def verdict(result: Result) -> str:
    """State whether a policy earned anything, as its figures allow."""
    low, high = result.interval()
    if not result.positions:
        return "opened no position out of sample"
    if high < 0.0:
        return "lost out of sample after costs"
    if result.mean <= 0.0:
        return "earned nothing out of sample after costs: it lost"
    if low <= 0.0:
        return "earned nothing out of sample after costs that chance does not explain"
    return "earned a little out of sample after costs, on paper"


def conclusion(trial: Trial, deflated: Deflated) -> str:
    """The conclusion from the figures for a desk that considers trading the policy."""
    low, _ = trial.policy.interval()
    if trial.policy.mean <= 0.0 or low <= 0.0:
        return "It shows the service at work on real recurrent state; it is no reason to trade."
    if trial.late.mean < trial.policy.mean / 2.0:
        return "Most of what it made came from prints that a desk may not get, so it is no reason to trade."
    if trial.as_good > MOST_COINS * len(trial.coins):
        return "Coins that only choose the side do as well too often, so its choices are no reason to trade."
    if trial.policy.mean_without_best(BEST_SESSIONS) <= 0.0:
        return f"Its best {BEST_SESSIONS} sessions made all of it, so it is no reason to trade."
    if deflated.skill < LEAST_SKILL:
        return "The best of so many trials may look as good without any skill, so it is no reason to trade."
    return "That is a reason to watch it beside the policy that trades (SHADOW_MODEL_PATH), on bars yet to come."


def worth(found: Sequence[Foretelling]) -> list[str]:
    """What each figure is worth for foretelling a profit, in a sentence."""
    sentences = list[str]()
    for one in found:
        if np.isnan(one.auc) or abs(one.auc - 0.5) < LEAST_AUC:
            says = "says next to nothing about winning"
        elif one.auc < 0.5:
            says = "is higher where it wins less often"
        else:
            says = "is higher where it wins more often"
        better = "better" if one.brier < one.constant else "no better"
        sentences.append(
            f"The {one.name} {says} on the test range (AUC {one.auc:.2f}), and as a probability of winning it is "
            f"{better} than one frequency for all (Brier score {one.brier:.3f}, against {one.constant:.3f})."
        )
    return sentences


def _rows(trial: Trial, evaluation: Evaluation) -> list[Figures]:
    """The table of results: the policy, the policy at other spreads and fills, and strategies without a model."""
    means = np.array([toss.mean for toss in trial.coins])
    low, high = np.percentile(means, (2.5, 97.5))
    coins: Figures = {
        "name": f"a coin for the side, at this policy's entries ({COINS} of them)",
        "mean": means.mean(),
        "low": low,
        "high": high,
        "positions": round(np.mean([len(toss.positions) for toss in trial.coins])),
        "won": np.mean([toss.win_rate for toss in trial.coins]),
        "profit_factor": "",
        "drawdown": "",
    }
    return [
        _row("**this policy**", trial.policy),
        _row("this policy, filled one bar later", trial.late),
        *(_row(f"this policy at a spread of {spread}", result) for spread, result in trial.by_spread.items()),
        *(_row(name, result) for name, result in trial.others.items()),
        coins,
        _row("*this policy on the validation range*", evaluation.validation),
        _row("*this policy on the calibration range*", evaluation.calibration),
    ]


def _row(name: str, result: Result) -> Figures:
    low, high = result.interval()
    return {
        "name": name,
        "mean": result.mean,
        "low": low,
        "high": high,
        "positions": len(result.positions),
        "won": result.win_rate,
        "profit_factor": f"{result.profit_factor:.2f}" if np.isfinite(result.profit_factor) else "",
        "drawdown": f"{result.max_drawdown:.1f}%",
    }


def _foretelling(evaluation: Evaluation, rules: RiskRules) -> list[Figures]:
    """The rows of Brier score and AUC: of all choices, and of those at or above the threshold."""
    threshold = rules.confidence_threshold
    return [
        {"cases": cases, "found": one}
        for cases, least in (("every choice", 0.0), (f"confidence from {threshold:g}", threshold))
        for one in evaluation.foretelling(least)
    ]


def _confidences(evaluation: Evaluation) -> list[Figures]:
    """The table of confidences: each bin on the calibration range and on the test range."""
    calibrated, tested = (
        {(one.low, one.high): one for one in bins_of(choices.confidence, choices)}
        for choices in (evaluation.calibrated, evaluation.tested)
    )
    return [
        {
            "range": f"{low:.2f} to {high:.2f}" if low else f"below {high:.2f}",
            "cells": [calibrated.get((low, high)), tested.get((low, high))],
        }
        for low, high in sorted(calibrated.keys() | tested.keys())
    ]


def _sides(calibration: WinCalibration | None) -> list[Figures]:
    """The bins of the calibration by side, with the range of confidence of each."""
    if calibration is None:
        return []

    def of(name: str, side: SideCalibration) -> list[Figures]:
        ends = [*(one.confidence for one in side.bins), side.highest]
        return [
            {"side": name, "low": low, "high": high, "bin": one}
            for one, (low, high) in zip(side.bins, pairwise(ends), strict=True)
        ]

    return [*of("BUY", calibration.buy), *of("SELL", calibration.sell)]


def _win_bins(calibration: WinCalibration | None, evaluation: Evaluation) -> list[Figures]:
    """What came on the test range of each win probability that the model states."""
    if calibration is None:
        return []
    stated = sorted({one.probability for side in (calibration.buy, calibration.sell) for one in side.bins})
    tested, said = evaluation.tested, evaluation.said[1]
    found = [(probability, tested.where(said == probability)) for probability in stated]
    return [
        {"said": probability, "count": len(cases.won), "won": cases.won.mean(), "net_pct": cases.net_pct.mean()}
        for probability, cases in found
        if len(cases.won)
    ]


def _ranges(split: Split) -> list[Figures]:
    named = {
        "training": split.training,
        "validation": split.validation,
        "calibration": split.calibration,
        "test": split.test,
    }
    return [
        {
            "name": name,
            "first": sessions[0].day,
            "last": sessions[-1].day,
            "sessions": len(sessions),
            "bars": sum(map(len, sessions)),
        }
        for name, sessions in named.items()
    ]


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=False,
        autoescape=False,  # noqa: S701 - Markdown, made of our own figures
    )
    environment.filters.update(pct=_pct, share=_share, tenths=_tenths, tried=_tried)
    return environment.get_template("card.md.j2")


def _pct(value: float) -> str:
    return f"{value:+.3f}%" if value else "0"


def _share(value: float) -> str:
    return f"{100.0 * value:.0f}%"


def _tenths(value: float) -> str:
    return f"{100.0 * value:.1f}%"


def _tried(candidate: Mapping[str, Any]) -> str:
    if candidate["acted"] < LEAST_ACTING:
        return f"acts on {_tenths(candidate['acted'])}"
    return f"{candidate['mean_pct']:+.3f}% ± {candidate['standard_error']:.3f}, acts on {_tenths(candidate['acted'])}"


def _replace(file: Path, text: str) -> None:
    """Replace a file atomically."""
    written = file.with_name(f".{file.name}.part")
    written.write_text(text)
    written.replace(file)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--data", type=click.Path(path_type=Path), required=True, help="The bars it was trained on.")
def main(folder: Path, data: Path) -> None:
    """Evaluate the model in FOLDER again and write its card. Torch is not needed: the model file itself is run.

    The record of the training in training.json is kept; its `evaluation` is replaced. FOLDER must have a recipe.toml,
    which training writes.
    """
    try:
        recipe = Recipe.read(folder / RECIPE_FILE)
        observed = Observed.of(recipe)
        history = History.read(data, observed.features, observed.interval)
        policy = OnnxPolicy(folder / "model.onnx", confined=True)
        record = json.loads((folder / "training.json").read_text())
        split, rules = Split.of(history, recipe.months), rules_for(history.symbol, recipe.spread)
        card = write_card(policy, folder, history, split, rules, recipe, record)
    except (UnreadableFile, ModelRefused, OSError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(card)


if __name__ == "__main__":
    main()
