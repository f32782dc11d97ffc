"""Checks of the model files that are set."""

from __future__ import annotations

from collections.abc import Iterator

from ...adapters.onnx.errors import ModelRefused
from ...adapters.onnx.repository import load_newest, shipped_models
from ...adapters.python_features import FeaturesRefused, load_features
from ...config.settings import PLACEHOLDER_PATH, Settings
from ...domain.errors import ModelNotLoaded
from .finding import Finding, ok, problem, warning


def check_models(settings: Settings) -> Iterator[Finding]:
    """Load the policies as the service does."""
    try:
        own = None if settings.features is None else load_features(settings.features)
    except FeaturesRefused as error:
        yield problem("FEATURES", str(error), "`tradingsignals check` tells more")
        return
    paths = [("MODEL_PATH", settings.model_path or shipped_models()), ("SHADOW_MODEL_PATH", settings.shadow_model_path)]
    for name, path in paths:
        if path == PLACEHOLDER_PATH or (path is None and name == "MODEL_PATH"):
            yield warning(name, "predictions are made up, and signals are marked simulated", "name a model file")
        elif path is not None:
            try:
                described = load_newest(path, name, own).description
            except (ModelNotLoaded, ModelRefused) as error:
                yield problem(name, str(error), f"tradingsignals check {path}")
            else:
                yield ok(name, f"{described.type} {described.version}")
