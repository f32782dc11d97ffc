"""A policy in an ONNX file, run by ONNX Runtime on the calling thread.

The seed contract: one float32 input of shape (batch, 16), the features of the feature specification in its order; one
float32 output of shape (batch, 3), the probabilities of [HOLD, BUY, SELL].
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from ..application.ports import PolicyDescription, TensorShape
from ..domain.features import FEATURE_NAMES, FEATURE_SPECIFICATION, Observation
from ..domain.signals import Probabilities

ACTIONS = 3
PROVIDERS = ("CPUExecutionProvider",)


class ModelRefused(Exception):
    """The file cannot serve. The message is one line that says why and what to do."""


class OnnxPolicy:
    """The policy in `path`. Its version is the name of the file without its ending.

    Input and output buffers are bound once and used for every inference, which halves its cost; the price is that an
    instance serves one inference at a time, which is how the engine works anyway.

    Raises:
        ModelRefused: on construction, if the file is missing, broken, or does not fit the seed contract.
    """

    def __init__(self, path: Path) -> None:
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ModelRefused(f"MODEL_PATH={path}: cannot be read ({error.strerror})") from error
        self._session = _session_of(path, content)
        self._input = np.zeros((1, len(FEATURE_NAMES)), dtype=np.float32)
        self._output = np.zeros((1, ACTIONS), dtype=np.float32)
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        _require_seed_contract(path, inputs, outputs)
        self._binding = self._session.io_binding()
        self._binding.bind_input(inputs[0].name, "cpu", 0, np.float32, self._input.shape, self._input.ctypes.data)
        self._binding.bind_output(outputs[0].name, "cpu", 0, np.float32, self._output.shape, self._output.ctypes.data)
        self.description = PolicyDescription(
            version=path.stem,
            type="onnx",
            mode="onnx",
            providers=tuple(self._session.get_providers()),
            inputs=tuple(_shape(tensor) for tensor in inputs),
            outputs=tuple(_shape(tensor) for tensor in outputs),
            file_sha256=hashlib.sha256(content).hexdigest(),
        )
        if self.probabilities(np.zeros(len(FEATURE_NAMES), dtype=np.float32)) is None:
            raise ModelRefused(
                f"MODEL_PATH={path}: answers {self._output[0].tolist()} to an observation of zeros; its output must be "
                "the probabilities of [HOLD, BUY, SELL], so end the graph with a softmax"
            )

    def probabilities(self, observation: Observation) -> Probabilities | None:
        """See application.ports.Policy."""
        self._input[0] = observation
        self._session.run_with_iobinding(self._binding)
        hold, buy, sell = self._output[0].tolist()
        try:
            return Probabilities(hold, buy, sell)
        except ValueError:
            return None


def _session_of(path: Path, content: bytes) -> Any:
    options = onnxruntime.SessionOptions()
    # One inference takes tens of microseconds: more threads only spin, and a second core is better used elsewhere.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(content, options, providers=list(PROVIDERS))
    except Exception as error:
        # ONNX Runtime raises a dozen classes of its own for a bad file; the first line of any of them is what helps.
        said = str(error).strip().splitlines()[0]
        raise ModelRefused(f"MODEL_PATH={path}: is not a model that ONNX Runtime can load ({said})") from error


def _require_seed_contract(path: Path, inputs: list[Any], outputs: list[Any]) -> None:
    features = len(FEATURE_NAMES)
    for what, tensors, width, meaning in (
        ("input", inputs, features, f"the {features} features of {FEATURE_SPECIFICATION}"),
        ("output", outputs, ACTIONS, "the probabilities of [HOLD, BUY, SELL]"),
    ):
        if len(tensors) != 1:
            names = ", ".join(tensor.name for tensor in tensors)
            raise ModelRefused(f"MODEL_PATH={path}: has {len(tensors)} {what}s ({names}); exactly one is needed")
        tensor = tensors[0]
        # An axis that the file leaves open is a name or None.
        axes = [axis if isinstance(axis, int) else 1 for axis in tensor.shape[:1]] + list(tensor.shape[1:])
        if tensor.type != "tensor(float)" or axes != [1, width]:
            raise ModelRefused(
                f"MODEL_PATH={path}: {what} {tensor.name} is {tensor.type} of shape {tensor.shape}; "
                f"tensor(float) of shape (batch, {width}) is needed, {meaning}"
            )


def _shape(tensor: Any) -> TensorShape:
    axes = tuple(axis if isinstance(axis, int) else -1 for axis in tensor.shape)
    return TensorShape(tensor.name, tensor.type, axes)
