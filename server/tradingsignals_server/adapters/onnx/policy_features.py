"""What computes the observations of a model, by the metadata of its file."""

from __future__ import annotations

from pathlib import Path

from ...domain.features import M5_V1, CatalogueFeatures, FeatureContext, Features, Observation, RawBars, Scaling
from ...domain.features.expression import parse
from ...domain.recurrent_state import ResetRule
from ..python_features import PYTHON, FeaturesRefused, PythonFeatures, named_by
from .declared_features import BARS, DeclaredFeatures
from .errors import ModelRefused, Unfit
from .metadata import Metadata
from .trial import scaled


def own_features(metadata: Metadata, scaling: Scaling | None) -> Features | None:
    """Return what computes the observations: of the catalogue, or raw bars; None if a module of the user does.

    Raises:
        Unfit: the features do not fit together, such as a lookback that is too short for one of them.
    """
    declared = metadata.features
    if declared.specification.startswith(PYTHON):
        return None
    if declared.specification == BARS:
        bars = RawBars(declared.lookback_bars)
        return bars if scaling is None else ScaledFeatures(bars, scaling)
    if declared.specification == M5_V1.name and declared.stack == 1 and scaling is None:
        return M5_V1
    try:
        return CatalogueFeatures(
            declared.specification,
            [parse(text) for text in declared.expressions] or M5_V1.features,
            names=declared.names,
            lookback_bars=declared.lookback_bars,
            stack=declared.stack,
            stack_in_session=metadata.reset is ResetRule.SESSION,
            limit=declared.limit,
            scaling=scaling,
        )
    except ValueError as error:
        raise Unfit(f"{error}; stamp it with the features that it was trained on") from error


class ScaledFeatures:
    """Features scaled by the service, as a whole or bar by bar; see Features."""

    def __init__(self, features: Features, scaling: Scaling) -> None:
        self.name = features.name
        self.names = features.names
        self.size = features.size
        self.lookback_bars = features.lookback_bars
        self.history_bars = features.history_bars
        self.warm_bars = features.warm_bars
        self.uses_position = features.uses_position
        self._features = features
        self._scaling = scaling

    def observe(self, context: FeatureContext) -> Observation:
        """See Features."""
        return scaled(self._features.observe(context), self._scaling)


def python_features(
    path: Path, declared: DeclaredFeatures, own: PythonFeatures | None, scaling: Scaling | None = None
) -> Features:
    """Return the features of the module that the file at `path` names, if the operator named it: `own`.

    Args:
        path: of the model file.
        declared: what it says of its features.
        own: those that the operator named, None if there are none.
        scaling: what the service does to an observation, None if nothing.

    Raises:
        ModelRefused: the operator named no module, or another one.
    """
    reference = declared.specification.removeprefix(PYTHON)
    try:
        features = named_by(
            reference,
            declared.names,
            own,
            lookback_bars=declared.lookback_bars,
            source_sha256=declared.source_sha256,
        )
    except FeaturesRefused as refused:
        raise ModelRefused(path, str(refused)) from refused
    return features if scaling is None else ScaledFeatures(features, scaling)
