"""`tradingsignals check`: whether a model file can be used, and why not."""

from __future__ import annotations

import json
from pathlib import Path

from ..adapters.onnx.declared_features import BARS
from ..adapters.onnx.labels import ActionSource
from ..adapters.onnx.metadata import range_text
from ..adapters.onnx.model_file import ModelSpecification
from ..adapters.onnx.policy import OnnxPolicy
from ..adapters.python_features import PYTHON, PythonFeatures
from ..domain.intervals import interval_name
from ..domain.recurrent_state import ResetRule
from ..domain.wording import counted
from .feature_check import check_features

_RESETS = {
    ResetRule.SESSION: "reset at each session's first bar",
    ResetRule.NEVER: "never reset",
    ResetRule.NONE: "",
}
_KINDS = {1: ", in 1 tensor"}
_ACTIONS = {
    ActionSource.METADATA: "",
    ActionSource.LABELS: ", by its class labels",
    ActionSource.SEED_CONTRACT: ", the default order; `tradingsignals stamp --actions` writes it into the file",
}


def check(path: Path, own: PythonFeatures | None = None) -> str:
    """Load and try the model file at `path` as the service does, and describe it in lines of text.

    It is loaded first in a separate process. If it was trained on features of the user's own, `own`, these are run on
    made-up markets; see check_features.

    Raises:
        ModelRefused: it cannot be used. The message is one line with the problem and what to do.
        FeaturesRefused: its features look ahead, are not deterministic, or fail.
    """
    policy = OnnxPolicy(path, confined=True, own=own)
    observes = own is not None and policy.specification.features.specification == own.name
    return described(path, policy, check_features(own) if own is not None and observes else None)


def described(path: Path, policy: OnnxPolicy, features_checked: str | None = None) -> str:
    """Describe the policy in the file at `path`, and how its features were checked, in lines of text."""
    model = policy.specification
    rows = [
        ("model", f"{model.name} {model.version} ({model.type})"),
        ("sha256", model.file_sha256),
        ("features", _features(model)),
        ("checked", features_checked),
        ("interval", f"bars of {interval_name(model.interval)}"),
        ("normalised", _normalisation(model)),
        ("outputs", _outputs(model)),
        ("calibrated", _calibration(model)),
        ("state", _state(model)),
        ("batches", _batches(policy.batch_sizes)),
        ("opset", str(model.opset)),
        ("drift", "of its features against their training" if model.distributions else None),
        ("trained on", _span(range_text(model.training_range)) if model.training_range else None),
        ("seed", model.seed),
        ("git revision", model.git_revision),
    ]
    return "\n".join([f"{path}: will serve", *(f"  {what:<13}{text}" for what, text in rows if text)])


def _features(model: ModelSpecification) -> str:
    features = model.features
    if features.specification == BARS:
        return f"{', '.join(features.names)} of the last {counted(features.lookback_bars, 'bar')}, the oldest first"
    if features.specification.startswith(PYTHON):
        source = f", source {features.source_sha256[:12]}" if features.source_sha256 else ""
        return (
            f"{features.specification}: {len(features.names)} ({', '.join(features.names)}), of the last "
            f"{counted(features.lookback_bars, 'bar')}{source}"
        )
    expressions = f" ({', '.join(features.expressions)})" if features.expressions else ""
    stacked = f", {features.stack} frames" if features.stack > 1 else ""
    bars = counted(features.lookback_bars, "bar")
    return f"{features.specification}: {len(features.names)}{expressions}, of the last {bars}{stacked}"


def _outputs(model: ModelSpecification) -> str:
    greedy = "; its choice has confidence 1" if model.output.greedy else ""
    return f"{model.output.value} of {', '.join(model.actions)}{_ACTIONS[model.actions_source]}{greedy}"


def _normalisation(model: ModelSpecification) -> str:
    entry = json.loads(model.normalisation)
    if entry["kind"] == "none":
        return "no"
    where = "by the service" if entry["kind"] == "standard" else "in the graph"
    clipped = "" if entry.get("clip") is None else f", clipped at {entry['clip']}"
    return f"{where}, by the mean and {'scale' if 'scale' in entry else 'variance'} of training{clipped}"


def _calibration(model: ModelSpecification) -> str:
    if (win := model.win_calibration) is not None:
        cases = f"{counted(win.cases, 'case')} ({win.buy.cases} BUY, {win.sell.cases} SELL)"
        return f"win probability, of {cases} from {_span(range_text((win.start, win.end)))}"
    entry = json.loads(model.calibration)
    if entry["kind"] == "none":
        return "no"
    fitted = f", fitted to {_span(json.dumps(entry['range']))}" if entry.get("range") else ""
    return f"by temperature {entry['temperature']:g}{fitted}"


def _state(model: ModelSpecification) -> str:
    if not model.recurrent:
        return "none: each decision depends on its own observation only"
    layers = counted(model.layers, "layer")
    return f"{layers} of {model.hidden_size}{_KINDS.get(model.state_tensors, '')}, {_RESETS[model.reset]}"


def _batches(sizes: tuple[int, ...]) -> str:
    if not sizes:
        return "none: one inference for each symbol"
    return f"of up to {counted(sizes[-1], 'symbol')}, bit-identical to single inferences"


def _span(text: str) -> str:
    start, end = json.loads(text)
    return f"{start} to {end}"
