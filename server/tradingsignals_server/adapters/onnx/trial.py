"""Trial of a model at load time: its outputs must be of their kind, and its state finite."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from ...domain.features import Scaling
from .declared_features import BARS, DeclaredFeatures
from .entries import PREFIX
from .errors import Unfit, runtime_message
from .metadata import Metadata, OutputKind
from .outputs import conversion_of
from .tensors import Tensors

_RANDOM_STEPS = 16
_RANGE = 10.0
"""Bound of the observations of features without a bound of their own."""

Float32 = npt.NDArray[np.float32]


def run_trial(session: Any, tensors: Tensors, metadata: Metadata, scaling: Scaling | None) -> None:
    """Run the model on a short sequence of observations, carrying its state.

    Raises:
        Unfit: an inference fails, or an output is not of its kind, has another shape, or is not finite.
    """
    features = metadata.features
    state = [np.zeros(part.given.shape(1), dtype=part.given.dtype) for part in tensors.state]
    for what, observation in _observations(features, scaling):
        inputs = {
            port.name: observation[port.first : port.first + port.count].astype(port.dtype).reshape(port.shape(1))
            for port in tensors.observation
        }
        inputs |= {part.given.name: values for part, values in zip(tensors.state, state, strict=True)}
        try:
            output, *returned = session.run([tensor.name for tensor in tensors.outputs], inputs)
        except Exception as error:
            # ONNX Runtime has a dozen exception classes, without a common base.
            message = runtime_message(error)
            other = any(port.dtype != np.float32 for port in tensors.observation)
            advice = "export it in float32 (torch: model.float())" if other else "it must accept any observation"
            raise Unfit(f"fails on an observation of {what} ({message}); {advice}") from error
        _require_output(np.asarray(output), tensors, metadata, what)
        for part, values in zip(tensors.state, returned, strict=True):
            needed = part.given.shape(1)
            if values.shape != needed:
                raise Unfit(
                    f"output {part.returned.name} has shape {values.shape} for one observation; "
                    f"{needed} is needed, the shape of its input"
                )
            if not np.isfinite(values).all():
                raise Unfit(
                    f"output {part.returned.name} is not finite after an observation of {what}; "
                    "check for NaN or infinite weights, and for a state that grows without bound"
                )
        state = [
            np.asarray(values, dtype=part.given.dtype) for part, values in zip(tensors.state, returned, strict=True)
        ]


def random_observations(features: DeclaredFeatures, scaling: Scaling | None, count: int, seed: int) -> Float32:
    """Return `count` random observations as the graph gets them, shape (count, numbers)."""
    random = np.random.default_rng(seed)
    if features.specification == BARS:
        rows = np.stack([_bars(random, features.lookback_bars) for _ in range(count)])
    else:
        limit = features.limit or _RANGE
        rows = random.normal(scale=2.0, size=(count, features.size)).clip(-limit, limit).astype(np.float32)
    return rows if scaling is None else np.stack([scaled(row, scaling) for row in rows])


def scaled(observation: Float32, scaling: Scaling) -> Float32:
    """Return an observation scaled as a whole, or frame by frame if the scaling has the length of a frame or bar."""
    return np.concatenate([scaling.of(frame) for frame in observation.reshape(-1, len(scaling))])


def _require_output(output: npt.NDArray[Any], tensors: Tensors, metadata: Metadata, what: str) -> None:
    needed = tensors.output.shape(1)
    kind, actions = metadata.output, metadata.actions
    if output.shape != needed:
        raise Unfit(f"returns shape {output.shape} for one observation; {needed} is needed, {', '.join(actions)}")
    values = output.reshape(-1).tolist()
    if not np.isfinite(output).all():
        raise Unfit(
            f"returns {_shown(values)} for an observation of {what}; check for NaN or infinite weights, and for "
            "logarithms of 0"
        )
    if conversion_of(kind, actions)(values) is not None:
        return
    if kind is OutputKind.ACTION:
        raise Unfit(
            f"returns {_shown(values)} for an observation of {what}; the index of one of its {len(actions)} actions is "
            f"needed, 0 to {len(actions) - 1}"
        )
    raise Unfit(
        f"returns {_shown(values)} for an observation of {what}; probabilities with a sum of 1 are needed: end the "
        f"graph with a softmax, or say what it returns, {PREFIX}output=logits or action_values, with `tradingsignals "
        "stamp --output`"
    )


def _shown(values: list[float]) -> str:
    return str(values if len(values) <= 8 else [*values[:8], "..."])


def _observations(features: DeclaredFeatures, scaling: Scaling | None) -> Iterator[tuple[str, Float32]]:
    """Yield pairs of a description and an observation as the graph gets it, shape (numbers,)."""
    for what, row in _extremes(features):
        yield what, row if scaling is None else scaled(row, scaling)
    for row in random_observations(features, scaling, _RANDOM_STEPS, 0):
        yield "random values", row


def _extremes(features: DeclaredFeatures) -> Iterator[tuple[str, Float32]]:
    if features.specification == BARS:
        for what, price, volume in (
            ("equal bars", 4000.0, 100.0),
            ("equal bars without volume", 1.0, 0.0),
        ):
            yield what, np.tile(np.array([price] * 4 + [volume], np.float32), features.lookback_bars)
        return
    limit = features.limit or _RANGE
    for what, value in (("zeros", 0.0), ("highest values", limit), ("lowest values", -limit)):
        yield what, np.full(features.size, value, dtype=np.float32)


def _bars(random: np.random.Generator, count: int) -> Float32:
    """Return random bars, the oldest first, as RawBars does: a random walk around some price."""
    price = 10.0 ** random.uniform(0.0, 4.0)
    close = price * np.exp(np.cumsum(random.normal(scale=1e-3, size=count)))
    opened = np.concatenate([[price], close[:-1]])
    spread = 1.0 + random.exponential(5e-4, size=(2, count))
    high, low = np.maximum(opened, close) * spread[0], np.minimum(opened, close) / spread[1]
    return np.stack([opened, high, low, close, random.exponential(100.0, count)], axis=1).astype(np.float32).reshape(-1)
