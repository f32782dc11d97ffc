"""The model card, generated from figures and never edited: the policy, and its results out of sample."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import jinja2
import numpy as np
import numpy.typing as npt

from tradingsignals_server.adapters.feeds.rows import UnreadableFile
from tradingsignals_server.adapters.onnx.errors import ModelRefused
from tradingsignals_server.adapters.onnx.policy import OnnxPolicy
from tradingsignals_server.domain.costs import Charge, Charges
from tradingsignals_server.domain.features import M5_V1
from tradingsignals_server.domain.risk import RiskRules
from tradingsignals_server.domain.signals import Action

from .calibration import LEAST_ACTING, Choices, reliability
from .evaluation import Result, Strategy, always, average_cross, coin, long_each_session, one_bar_late, served, trade
from .history import History, Session
from .outcomes import Outcomes
from .recipe import DEFAULT_SPREAD, rules_for
from .split import Split

FILLS = "target"
"""Marks a record of training whose targets are filled at the target, also where the market opens beyond it. Records
without it counted such a target at the open."""

COINS = 100
MOST_COINS = 0.05
"""If a larger fraction of the coins does as well, the policy's choice of side has no value."""
FAR_ATR = 100.0
"""A stop, and a target 1.5 times as far, that no session touches."""

Record = Mapping[str, Any]
"""Contents of training.json."""
Figures = dict[str, Any]
"""Values of a line of the card, by the names in card.md.j2."""


@dataclass(frozen=True, slots=True)
class Trial:
    """The policy and the strategies that it is compared with, over the same sessions.

    coins: its results if a coin chooses the side of each position that it opened.
    """

    policy: Result
    late: Result
    by_spread: Mapping[Charge, Result]
    others: Mapping[str, Result]
    coins: tuple[Result, ...]


def policy_probabilities(policy: OnnxPolicy, history: History, sessions: Sequence[Session]) -> npt.NDArray[np.float64]:
    """The model file's probabilities at each bar of `sessions`, one by one as the service runs it: shape (bars, 3).

    Its state begins at zeros with each session. [1, 0, 0] at other bars, and where its output was not finite.
    """
    found = np.tile((1.0, 0.0, 0.0), (len(history.bars), 1))
    for session in sessions:
        state = policy.initial_state()
        for index in range(session.first, session.last + 1):
            probabilities, state = policy.decide(history.observations[index], state)
            if probabilities is not None:
                found[index] = probabilities.hold, probabilities.buy, probabilities.sell
    return found


def run_trial(history: History, sessions: Sequence[Session], rules: RiskRules, strategy: Strategy) -> Trial:
    """Run a policy's `strategy`, and those that need no model, through `sessions`."""

    def follow(other: Strategy, by: RiskRules = rules) -> Result:
        return trade(history, sessions, by, other)

    policy = follow(strategy)
    opened = {position.entry_time for position in policy.positions}
    entries = {index for index, bar in enumerate(history.bars) if bar.close_time in opened}
    no_exits = replace(rules, atr_multiplier_sl=FAR_ATR, atr_multiplier_tp=1.5 * FAR_ATR)
    return Trial(
        policy,
        follow(one_bar_late(sessions, strategy)),
        {
            spread: follow(strategy, replace(rules, spread=Charges(spread)))
            for spread in (Charge(), rules.spread.of(history.bars[0].symbol).times(2.0))
        },
        {
            "always hold": follow(always(Action.HOLD)),
            "buy and hold, each session, no stop": follow(long_each_session(sessions), no_exits),
            "long each session, with stop and target": follow(long_each_session(sessions)),
            "EMA 20/50 cross": follow(average_cross(history)),
        },
        tuple(follow(coin(seed, entries)) for seed in range(COINS)),
    )


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The results of a policy by today's rules.

    probabilities: see `policy_probabilities`. trial: over the test range. validation: the policy alone, over the
    validation range.
    """

    probabilities: npt.NDArray[np.float64]
    trial: Trial
    validation: Result
    outcomes: Outcomes

    def record(self) -> dict[str, Any]:
        """The part that training.json stores."""
        return {
            "fills": FILLS,
            **{
                name: {
                    "mean_pct": result.mean,
                    "interval_pct": result.interval(),
                    "standard_error": result.standard_error,
                    "trades": len(result.positions),
                    "acted": result.acted,
                }
                for name, result in (("validation", self.validation), ("test", self.trial.policy))
            },
        }


def evaluate(policy: OnnxPolicy, history: History, split: Split, rules: RiskRules) -> Evaluation:
    """Run a model file over the validation and test ranges, and trade its choices there."""
    probabilities = policy_probabilities(policy, history, split.validation + split.test)
    return Evaluation(
        probabilities,
        run_trial(history, split.test, rules, served(probabilities)),
        trade(history, split.validation, rules, served(probabilities)),
        Outcomes.of(history, split.validation + split.test, rules),
    )


def write_card(
    policy: OnnxPolicy, folder: Path, history: History, split: Split, rules: RiskRules, record: Record
) -> str:
    """Evaluate the policy; write its card and the record of its training into `folder`. Returns the card."""
    evaluation = evaluate(policy, history, split, rules)
    card = model_card(policy, evaluation, history, split, rules, record)
    _replace(folder / "training.json", json.dumps({**record, "evaluation": evaluation.record()}, indent=1) + "\n")
    _replace(folder / "MODEL_CARD.md", card)
    return card


def model_card(
    policy: OnnxPolicy, evaluation: Evaluation, history: History, split: Split, rules: RiskRules, record: Record
) -> str:
    """The card of the policy in a model file, in Markdown; every sentence depends on the figures."""
    made, trial = policy.specification, evaluation.trial
    return _template().render(
        name=f"{made.name} {made.version}",
        verdict=verdict(trial.policy),
        conclusion=conclusion(trial),
        sessions=len(split.test),
        policy=_row("**this policy**", trial.policy),
        late=_row("this policy, filled one bar later", trial.late),
        coins={"count": COINS, "better": _as_good(trial)},
        rules=rules,
        spread=rules.spread.of(history.symbol),
        commission=rules.commission.of(history.symbol),
        rows=[*_rows(trial), _row("*this policy on the validation range*", evaluation.validation)],
        chosen=record["chosen"],
        chance=_chance(evaluation.outcomes, split.test),
        acting=_acting(evaluation, split.validation, rules.confidence_threshold),
        bins=_bins(evaluation.probabilities, evaluation.outcomes, split),
        symbol=history.symbol,
        ranges=_ranges(split),
        features=len(M5_V1.names),
        specification=M5_V1.name,
        lookback=made.features.lookback_bars,
        recipe=record["recipe"],
        runs=record["runs"],
        validation=evaluation.validation,
        filled_at_open=record.get("fills") != FILLS,
        least_acting=LEAST_ACTING,
        minutes=record["minutes"],
        sha256=made.file_sha256,
        flat=np.mean([bar.high == bar.low for bar in history.bars]),
        notes=record.get("notes", ()),
    )


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


def conclusion(trial: Trial) -> str:
    """The conclusion from the figures for a desk that considers trading the policy."""
    low, _ = trial.policy.interval()
    if trial.policy.mean <= 0.0 or low <= 0.0:
        return "It shows the service at work on real recurrent state; it is no reason to trade."
    if trial.late.mean < trial.policy.mean / 2.0:
        return "Most of what it made came from prints that a desk may not get, so it is no reason to trade."
    if _as_good(trial) > MOST_COINS * len(trial.coins):
        return "Coins that only choose the side do as well too often, so its choices are no reason to trade."
    return "That is a reason to watch it beside the policy that trades (SHADOW_MODEL_PATH), on bars yet to come."


def _as_good(trial: Trial) -> int:
    """Number of coins that did as well as the policy or better."""
    return sum(toss.mean >= trial.policy.mean for toss in trial.coins)


def _acting(evaluation: Evaluation, sessions: Sequence[Session], threshold: float) -> Figures:
    """Confidence and results of the signals at or above the threshold on the validation range."""
    choices = Choices.of(_logits(evaluation.probabilities), evaluation.outcomes, sessions)
    confidence = choices.confidence(1.0)
    passes = confidence >= threshold
    if not passes.any():
        return {"count": 0, "confidence": 0.0, "ahead": 0.0}
    mean, ahead = confidence[passes].mean(), choices.ahead[passes].mean()
    return {"count": int(passes.sum()), "confidence": mean, "ahead": ahead}


def _rows(trial: Trial) -> list[Figures]:
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


def _bins(probabilities: npt.NDArray[np.float64], outcomes: Outcomes, split: Split) -> list[Figures]:
    """The table of reliability: each range of confidence with its bin on the validation range and on the test range."""
    logits = _logits(probabilities)
    validation, test = (
        {(bin_.low, bin_.high): bin_ for bin_ in reliability(Choices.of(logits, outcomes, sessions))}
        for sessions in (split.validation, split.test)
    )
    return [
        {
            "range": f"{low:.2f} to {high:.2f}" if low else f"below {high:.2f}",
            "cells": [validation.get((low, high)), test.get((low, high))],
        }
        for low, high in sorted(validation.keys() | test.keys())
    ]


def _logits(probabilities: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Logits whose probabilities at a temperature of 1 are those of the file, which are at its own temperature."""
    with np.errstate(divide="ignore"):
        logits: npt.NDArray[np.float64] = np.maximum(np.log(probabilities), -100.0)
    return logits


def _chance(outcomes: Outcomes, sessions: Sequence[Session]) -> Figures:
    """The frequencies with which a side taken at random gets ahead, and ends with a profit."""
    bars = np.concatenate([np.arange(session.first, session.last + 1) for session in sessions])
    net_pct = outcomes.net_pct[bars]
    known = ~np.isnan(net_pct)
    return {"ahead": outcomes.ahead[bars][known].mean(), "won": (net_pct[known] > 0.0).mean()}


def _ranges(split: Split) -> list[Figures]:
    named = {"training": split.training, "validation": split.validation, "test": split.test}
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
    environment.filters.update(pct=_pct, share=_share, tried=_tried)
    return environment.get_template("card.md.j2")


def _pct(value: float) -> str:
    return f"{value:+.3f}%" if value else "0"


def _share(value: float) -> str:
    return f"{100.0 * value:.0f}%"


def _tried(candidate: Mapping[str, Any]) -> str:
    if candidate["temperature"] is None:
        return "acts too little, or claims too much"
    return f"{candidate['mean_pct']:+.3f}% ± {candidate['standard_error']:.3f}"


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

    The record of the training in training.json is kept; its `evaluation` is replaced.
    """
    try:
        history = History.read(data)
        policy = OnnxPolicy(folder / "model.onnx", confined=True)
        record = json.loads((folder / "training.json").read_text())
        rules = rules_for(history.symbol, record.get("spread", DEFAULT_SPREAD))
        card = write_card(policy, folder, history, Split.of(history), rules, record)
    except (UnreadableFile, ModelRefused, OSError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(card)


if __name__ == "__main__":
    main()
