"""What a policy that is trained observes, by its recipe."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from tradingsignals_server.adapters.onnx.errors import ExportRefused, ModelRefused, Unfit
from tradingsignals_server.adapters.onnx.metadata import Metadata, OutputKind, read_metadata
from tradingsignals_server.commands.export_options import ExportOptions, observed_by
from tradingsignals_server.commands.stamp import parsed_features
from tradingsignals_server.domain.calendar import DAY_SESSIONS
from tradingsignals_server.domain.features import Features
from tradingsignals_server.domain.intervals import parse_interval
from tradingsignals_server.domain.recurrent_state import ResetRule

from .recipe import InvalidRecipe, Recipe

RESET = ResetRule.SESSION
"""An episode is a session, so the state of a policy begins at zeros with each."""


@dataclass(frozen=True, slots=True)
class Observed:
    """The features of a policy, and the interval of the bars that they are computed from."""

    features: Features
    interval: timedelta

    @classmethod
    def of(cls, recipe: Recipe) -> Observed:
        """What the recipe names.

        Raises:
            InvalidRecipe: there is none, or no policy can be trained on it. The message is one line.
        """
        try:
            interval = parse_interval(recipe.interval)
        except ValueError as error:
            raise InvalidRecipe(f"the interval {error}") from error
        if interval >= DAY_SESSIONS:
            raise InvalidRecipe(
                f"the interval {recipe.interval}: an episode is a session, and bars of four hours or more have none "
                "that ends; train on bars of 1h or less, or by a command of your own and `tradingsignals export`"
            )
        options = ExportOptions(features=recipe.features, lookback=recipe.lookback)
        try:
            observed = observed_by(Path(recipe.features), options)
            metadata = Metadata("-", "-", "-", OutputKind.PROBABILITIES, RESET, features=observed.declared)
            read_metadata(metadata.to_properties())
        except (ExportRefused, ModelRefused, Unfit) as refused:
            raise InvalidRecipe(f"the observation: {refused}") from refused
        if observed.features.uses_position:
            raise InvalidRecipe(
                "the features: those of the position depend on what a policy did before, and hindsight, which this "
                "training begins with, knows the bars alone; leave them out"
            )
        return cls(observed.features, interval)


def features_text(text: str) -> str:
    """The features in their normal form, with the expressions of a file in place of its name.

    Raises:
        InvalidRecipe: it names none.
    """
    try:
        return ",".join(parsed_features(text).expressions) or text
    except ExportRefused as refused:
        raise InvalidRecipe(str(refused)) from refused
