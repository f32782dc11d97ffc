"""Explanation of a stored signal: its features, its rules, and what each group of features contributed."""

from __future__ import annotations

import math

from ...domain.features import CatalogueFeatures, Features
from ...domain.features.groups import titles_of
from ...domain.rule_results import RuleResult
from ...domain.signals import Action
from ...domain.values import dataclass
from ...domain.wording import counted
from ..ports.policy import Policy
from .attribution import Attribution, NoAttribution, attribute, log_odds, probability_of
from .remake import CannotRemake, Material, RemadeSignal, remake
from .replay import is_window_intact, missing_model
from .rules import rule_results, trade_rule_results

MOST_FEATURES = 2000
"""Numbers of an observation that an explanation lists, the newest frames first."""


@dataclass(frozen=True, slots=True)
class ExplainedFeature:
    """One number of an observation.

    expression, unit: of the catalogue, "" for others. group: as in Contribution. bars_ago: of its frame, or bar.
    value: in its unit; None if it is not defined, so that the neutral value stands for it, and in earlier frames.
    observed: the number that the policy was given.
    """

    name: str
    expression: str
    group: str
    unit: str
    bars_ago: int
    value: float | None
    observed: float


@dataclass(frozen=True, slots=True)
class SignalExplanation:
    """What is known of why a signal was given; `missing` has a sentence for each thing that is not."""

    features: tuple[ExplainedFeature, ...] = ()
    log_odds: tuple[tuple[Action, float], ...] = ()
    rules: tuple[RuleResult, ...] = ()
    attribution: Attribution | None = None
    missing: tuple[str, ...] = ()


def explain(material: Material, policy: Policy | None) -> SignalExplanation:
    """Explain a signal as far as its inputs are available; `policy` is the one that made it."""
    signal, settings = material.signal, material.settings
    is_calibrated = policy is None or policy.description.win_calibration is not None
    rules = rule_results(signal, settings, is_calibrated=is_calibrated)
    odds = tuple((action, log_odds(probability_of(signal.probabilities, action))) for action in Action)
    missing: list[str] = []
    if not is_window_intact(material.inputs, material.bars):
        missing.append("The stored bars are no longer those that the signal was made from; a replay names them")
    if policy is None:
        missing.append(f"Features and contributions: {missing_model(settings.policy).sentence}")
        return SignalExplanation(log_odds=odds, rules=tuple(rules), missing=tuple(missing))
    try:
        made = remake(material, policy)
    except CannotRemake as error:
        missing.append(f"Features and contributions: {error}")
        return SignalExplanation(log_odds=odds, rules=tuple(rules), missing=tuple(missing))
    rules += trade_rule_results(signal, material.inputs, settings, made.consequence)
    attribution = None
    try:
        attribution = attribute(policy, made.inference)
    except NoAttribution as error:
        missing.append(f"Contributions: {error}")
    features = tuple(_features(material, policy.features, made))
    if len(features) < len(made.inference.observation):
        earlier = counted(len(made.inference.observation) - len(features), "feature")
        missing.append(f"{earlier} of earlier bars, for brevity")
    return SignalExplanation(features, odds, tuple(rules), attribution, tuple(missing))


def _features(material: Material, features: Features, made: RemadeSignal) -> list[ExplainedFeature]:
    """Return the newest numbers of the observation, in its order."""
    observed = made.inference.observation.tolist()
    names, titles = features.names, titles_of(features)
    width = len(names)
    values: list[float | None] = [None] * width
    expressions, units = [""] * width, [""] * width
    if isinstance(features, CatalogueFeatures) and observed:
        context = made.decision_input.context(features, material.inputs.held).narrowed(features.lookback_bars)
        values = [_defined(feature.value(context)) for feature in features.features]
        expressions = [str(feature) for feature in features.features]
        units = [feature.kind.unit for feature in features.features]
    frames = len(observed) // width
    first = max(0, frames - max(1, MOST_FEATURES // width)) * width
    return [
        ExplainedFeature(
            name=names[place % width],
            expression=expressions[place % width],
            group=titles[place % width],
            unit=units[place % width],
            bars_ago=frames - 1 - place // width,
            value=values[place % width] if place // width == frames - 1 else None,
            observed=observed[place],
        )
        for place in range(first, frames * width)
    ]


def _defined(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else value
