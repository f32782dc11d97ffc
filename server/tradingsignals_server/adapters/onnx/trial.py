"""A trial of a model before it serves: does it answer probabilities, and stay in the finite range."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ...domain.features import FEATURE_LIMIT, Observation
from ...domain.signals import Action, Probabilities
from .errors import Unfit, runtime_said
from .metadata import ACTIONS, PREFIX, OutputKind
from .tensors import FEATURES, Tensors

_RANDOM_STEPS = 16
_ROUNDING = 1e-4
"""How far below 0 or above 1 the rounding of float32 may take a probability, such as the sum of a forest's trees."""

Places = tuple[int, int, int]
"""The columns of HOLD, BUY and SELL in a model's output."""


def places_of(actions: Sequence[Action]) -> Places:
    """The columns of HOLD, BUY and SELL where `actions` says what each column is."""
    hold, buy, sell = map(actions.index, ACTIONS)
    return hold, buy, sell


def probabilities_of(answer: Sequence[float], output: OutputKind, places: Places) -> Probabilities | None:
    """A model's answer to one observation as probabilities; None if it is not, such as NaN.

    What rounding adds below 0 or above 1 is cut off.
    """
    if output is OutputKind.LOGITS:
        if not all(map(math.isfinite, answer)):
            return None
        highest = max(answer)
        weights = [math.exp(logit - highest) for logit in answer]
        total = sum(weights)
        answer = [weight / total for weight in weights]
    else:
        answer = [min(max(number, 0.0), 1.0) if abs(number - 0.5) <= 0.5 + _ROUNDING else number for number in answer]
    hold, buy, sell = places
    try:
        return Probabilities(answer[hold], answer[buy], answer[sell])
    except ValueError:
        return None


def try_out(session: Any, tensors: Tensors, output: OutputKind) -> None:
    """Let the model decide on a few observations one after the other, its state carried.

    Raises:
        Unfit: it fails, or answers what is not probabilities, or not of the shape it promised, or loses its state.
    """
    state = [np.zeros((1, tensors.layers, tensors.hidden_size), dtype=np.float32) for _ in tensors.inputs[1:]]
    for what, observation in _observations():
        inputs = dict(zip((tensor.name for tensor in tensors.inputs), (observation, *state), strict=True))
        try:
            answer, *state = session.run([tensor.name for tensor in tensors.outputs], inputs)
        except Exception as error:
            # ONNX Runtime raises a dozen classes of its own.
            said = runtime_said(error)
            raise Unfit(f"fails on an observation of {what} ({said}); it must decide on any observation") from error
        _require_answer(answer, output, what)
        for tensor, values in zip(tensors.outputs[1:], state, strict=True):
            if values.shape != (1, tensors.layers, tensors.hidden_size):
                raise Unfit(
                    f"output {tensor.name} has shape {values.shape} for one observation; "
                    f"(1, {tensors.layers}, {tensors.hidden_size}) is needed, that of its input"
                )
            if not np.isfinite(values).all():
                raise Unfit(
                    f"output {tensor.name} leaves the finite range after an observation of {what}; "
                    "look for NaN or infinite weights, and for a state that grows without end"
                )


def _require_answer(answer: npt.NDArray[np.float32], output: OutputKind, what: str) -> None:
    if answer.shape != (1, len(ACTIONS)):
        raise Unfit(
            f"answers one observation with shape {answer.shape}; (1, {len(ACTIONS)}) is needed, {', '.join(ACTIONS)}"
        )
    numbers = answer[0].tolist()
    if not np.isfinite(answer).all():
        raise Unfit(
            f"answers {numbers} to an observation of {what}; look for NaN or infinite weights, and for logarithms of 0"
        )
    if probabilities_of(numbers, output, places_of(ACTIONS)) is None:
        raise Unfit(
            f"answers {numbers} to an observation of {what}; probabilities that add up to 1 are needed: "
            f"end the graph with a softmax, or name the output logits and say {PREFIX}output=logits"
        )


def _observations() -> Iterator[tuple[str, Observation]]:
    """What an observation is made of, and one: shape (1, 16)."""
    for what, value in (("zeros", 0.0), ("highest values", FEATURE_LIMIT), ("lowest values", -FEATURE_LIMIT)):
        yield what, np.full((1, FEATURES), value, dtype=np.float32)
    random = np.random.default_rng(0)
    for _ in range(_RANDOM_STEPS):
        values = random.normal(scale=2.0, size=(1, FEATURES)).clip(-FEATURE_LIMIT, FEATURE_LIMIT)
        yield "random values", values.astype(np.float32)
