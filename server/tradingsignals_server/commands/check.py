"""`tradingsignals check`: whether a model file can be used, and why not."""

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
    ActionSource.SEED_CONTRACT: ", the default order; `tradingsignals export --actions` writes it into the file",
}


def check(path: Path) -> str:
    """Load and try the model file at `path` as the service does, and describe it in lines of text.

    It is loaded first in a separate process.

    Raises:
        ModelRefused: it cannot be used. The message is one line with the problem and what to do.
    """
    policy = OnnxPolicy(path, confined=True)
    return described(path, policy)


def described(path: Path, policy: OnnxPolicy) -> str:
    """Describe the policy in the file at `path` in lines of text."""
    model = policy.specification
    rows = [
        ("model", f"{model.name} {model.version} ({model.type})"),
        ("sha256", model.file_sha256),
        (
            "features",
            f"{model.feature_specification}: {len(model.feature_names)}, of the last {model.lookback_bars} bars",
        ),
        ("normalised", _normalisation(model)),
        ("outputs", f"{model.output.value} of {', '.join(model.actions)}{_ACTIONS[model.actions_source]}"),
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
    entry = json.loads(model.normalisation)
    if entry["kind"] == "none":
        return "no"
    return f"in the graph, by the mean and variance of training, clipped at {entry.get('clip')}"


def _calibration(model: ModelSpecification) -> str:
    if (win := model.win_calibration) is not None:
        cases = f"{win.cases} cases ({win.buy.cases} BUY, {win.sell.cases} SELL)"
        return f"win probability, of {cases} from {_span(range_text((win.start, win.end)))}"
    entry = json.loads(model.calibration)
    if entry["kind"] == "none":
        return "no"
    fitted = f", fitted to {_span(json.dumps(entry['range']))}" if entry.get("range") else ""
    return f"by temperature {entry['temperature']:g}{fitted}"


def _state(model: ModelSpecification) -> str:
    if not model.recurrent:
        return "none: each decision depends on its own observation only"
    layers = "1 layer" if model.layers == 1 else f"{model.layers} layers"
    return f"{layers} of {model.hidden_size}, {_RESETS[model.reset]}"


def _batches(sizes: tuple[int, ...]) -> str:
    if not sizes:
        return "none: one inference for each symbol"
    return f"of up to {sizes[-1]} symbols, bit-identical to single inferences"


def _span(text: str) -> str:
    start, end = json.loads(text)
    return f"{start} to {end}"
