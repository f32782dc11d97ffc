"""`tradingsignals check`: will this model file serve, and why not."""

from __future__ import annotations

import json
from pathlib import Path

from ..adapters.onnx.labels import ActionSource
from ..adapters.onnx.metadata import range_text
from ..adapters.onnx.model_file import ModelSpecification
from ..adapters.onnx.policy import OnnxPolicy
from ..domain.recurrent_state import ResetRule

_RESETS = {
    ResetRule.SESSION: "reset at each session's first bar",
    ResetRule.NEVER: "never reset",
    ResetRule.NONE: "",
}
_ACTIONS = {
    ActionSource.METADATA: "",
    ActionSource.LABELS: ", by its class labels",
    ActionSource.SEED_CONTRACT: ", which it does not say itself; `tradingsignals export --actions` does",
}


def check(path: Path) -> str:
    """What the model file at `path` is and how it would serve, some lines.

    It is loaded and tried as the service does it, in a process of its own first.

    Raises:
        ModelRefused: it will not serve. The message is one line that says why and what to do.
    """
    policy = OnnxPolicy(path, confined=True)
    return described(path, policy)


def described(path: Path, policy: OnnxPolicy) -> str:
    """What the policy in the file at `path` is, some lines."""
    model = policy.specification
    rows = [
        ("model", f"{model.name} {model.version} ({model.type})"),
        ("sha256", model.file_sha256),
        (
            "features",
            f"{model.feature_specification}: {len(model.feature_names)}, of the last {model.lookback_bars} bars",
        ),
        ("normalised", _normalisation(model)),
        ("answers", f"{model.output.value} of {', '.join(model.actions)}{_ACTIONS[model.actions_source]}"),
        ("calibrated", _calibration(model)),
        ("state", _state(model)),
        ("batches", _batches(policy.batch_sizes)),
        ("opset", str(model.opset)),
        ("trained on", _span(range_text(model.training_range)) if model.training_range else None),
        ("seed", model.seed),
        ("git revision", model.git_revision),
    ]
    return "\n".join([f"{path}: will serve", *(f"  {what:<13}{text}" for what, text in rows if text)])


def _normalisation(model: ModelSpecification) -> str:
    said = json.loads(model.normalisation)
    if said["kind"] == "none":
        return "no"
    return f"in the graph, by the mean and variance of training, cut off at {said.get('clip')}"


def _calibration(model: ModelSpecification) -> str:
    said = json.loads(model.calibration)
    if said["kind"] == "none":
        return "no"
    found = f", found on {_span(json.dumps(said['range']))}" if said.get("range") else ""
    return f"by temperature {said['temperature']:g}{found}"


def _state(model: ModelSpecification) -> str:
    if not model.recurrent:
        return "none: each bar is decided by itself"
    layers = "1 layer" if model.layers == 1 else f"{model.layers} layers"
    return f"{layers} of {model.hidden_size}, {_RESETS[model.reset]}"


def _batches(sizes: tuple[int, ...]) -> str:
    if not sizes:
        return "none: symbols are decided one by one"
    return f"of up to {sizes[-1]} symbols, to the bit as one by one"


def _span(text: str) -> str:
    start, end = json.loads(text)
    return f"{start} to {end}"
