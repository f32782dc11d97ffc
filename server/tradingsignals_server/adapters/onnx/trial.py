"""Trial of a model at load time: its outputs must be probabilities, and its state finite."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ...domain.features import M5_V1, Observation
from ...domain.signals import Action, Probabilities
from .errors import Unfit, runtime_message
from .metadata import ACTIONS, PREFIX, OutputKind
from .tensors import FEATURES, Tensors

_RANDOM_STEPS = 16
_ROUNDING = 1e-4
"""How far float32 rounding may take a probability, such as the sum over a forest of trees, below 0 or above 1."""

Columns = tuple[int, int, int]
"""The columns of HOLD, BUY and SELL in the output of a model."""


def columns_of(actions: Sequence[Action]) -> Columns:
    """Return the columns of HOLD, BUY and SELL, given the action of each column."""
    hold, buy, sell = map(actions.index, ACTIONS)
    return hold, buy, sell


def probabilities_of(output: Sequence[float], kind: OutputKind, columns: Columns) -> Probabilities | None:
    """Convert the output of a model for one observation; None if it is invalid, such as NaN.

    Values that rounding takes below 0 or above 1 are clipped.
    """
    if kind is OutputKind.LOGITS:
        if not all(map(math.isfinite, output)):
            return None
        highest = max(output)
        weights = [math.exp(logit - highest) for logit in output]
        total = sum(weights)
        output = [weight / total for weight in weights]
    else:
        output = [min(max(value, 0.0), 1.0) if abs(value - 0.5) <= 0.5 + _ROUNDING else value for value in output]
    hold, buy, sell = columns
    try:
        return Probabilities(output[hold], output[buy], output[sell])
    except ValueError:
        return None


def run_trial(session: Any, tensors: Tensors, kind: OutputKind) -> None:
    """Run the model on a short sequence of observations, carrying its state.

    Raises:
        Unfit: an inference fails, or an output is not probabilities, has another shape, or is not finite.
    """
    state = [np.zeros((1, tensors.layers, tensors.hidden_size), dtype=np.float32) for _ in tensors.inputs[1:]]
    for what, observation in _observations():
        inputs = dict(zip((tensor.name for tensor in tensors.inputs), (observation, *state), strict=True))
        try:
            output, *state = session.run([tensor.name for tensor in tensors.outputs], inputs)
        except Exception as error:
            # ONNX Runtime has a dozen exception classes, without a common base.
            message = runtime_message(error)
            raise Unfit(f"fails on an observation of {what} ({message}); it must accept any observation") from error
        _require_output(output, kind, what)
        for tensor, values in zip(tensors.outputs[1:], state, strict=True):
            if values.shape != (1, tensors.layers, tensors.hidden_size):
                raise Unfit(
                    f"output {tensor.name} has shape {values.shape} for one observation; "
                    f"(1, {tensors.layers}, {tensors.hidden_size}) is needed, the shape of its input"
                )
            if not np.isfinite(values).all():
                raise Unfit(
                    f"output {tensor.name} is not finite after an observation of {what}; "
                    "check for NaN or infinite weights, and for a state that grows without bound"
                )


def _require_output(output: npt.NDArray[np.float32], kind: OutputKind, what: str) -> None:
    if output.shape != (1, len(ACTIONS)):
        raise Unfit(
            f"returns shape {output.shape} for one observation; (1, {len(ACTIONS)}) is needed, {', '.join(ACTIONS)}"
        )
    values = output[0].tolist()
    if not np.isfinite(output).all():
        raise Unfit(
            f"returns {values} for an observation of {what}; check for NaN or infinite weights, and for logarithms of 0"
        )
    if probabilities_of(values, kind, columns_of(ACTIONS)) is None:
        raise Unfit(
            f"returns {values} for an observation of {what}; probabilities with a sum of 1 are needed: "
            f"end the graph with a softmax, or name the output logits and set {PREFIX}output=logits"
        )


def _observations() -> Iterator[tuple[str, Observation]]:
    """Yield pairs of a description and an observation of shape (1, 16)."""
    for what, value in (("zeros", 0.0), ("highest values", M5_V1.limit), ("lowest values", -M5_V1.limit)):
        yield what, np.full((1, FEATURES), value, dtype=np.float32)
    random = np.random.default_rng(0)
    for _ in range(_RANDOM_STEPS):
        values = random.normal(scale=2.0, size=(1, FEATURES)).clip(-M5_V1.limit, M5_V1.limit)
        yield "random values", values.astype(np.float32)
