"""The policy in a model file without ONNX Runtime: weights from the graph, for the reference in numpy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

from .onnx_models import NumpyPolicy

ARITHMETIC = ["Sub", "Div", "Clip", "LSTM", "Gemm", "Tanh", "Gemm", "Softmax"]
"""What the graph of the shipped policy computes, in this order. All else in it only moves numbers:"""
MOVES = {"Cast", "Unsqueeze", "Squeeze", "Transpose"}

Float64 = npt.NDArray[np.float64]


def read_policy(path: Path) -> NumpyPolicy:
    """Return the policy in a file that is built like the shipped one, with a state of zeros."""
    graph = onnx.load(path).graph
    known: dict[str, Float64] = {
        tensor.name: numpy_helper.to_array(tensor).astype(np.float64) for tensor in graph.initializer
    }
    nodes = [node for node in graph.node if node.op_type not in MOVES]
    assert [node.op_type for node in nodes] == ARITHMETIC
    centre, scale, clip, lstm, dense, _, head, _ = nodes
    assert [onnx.helper.get_node_attr_value(layer, "transB") for layer in (dense, head)] == [1, 1]

    (of_inputs,), (of_state,), (biases,) = (known[name] for name in lstm.input[1:4])
    input_bias, state_bias = np.split(biases, 2)
    return NumpyPolicy(
        [(_gates(of_inputs), _gates(of_state), _gates(input_bias), _gates(state_bias))],
        [(known[layer.input[1]], known[layer.input[2]]) for layer in (dense, head)],
        mean=known[centre.input[1]],
        variance=known[scale.input[1]] ** 2,
        clip=float(known[clip.input[2]]),
    )


def _gates(values: Float64) -> Float64:
    """Reorder gates from ONNX (input, output, forget, cell) to the reference (input, forget, cell, output)."""
    i, o, f, g = np.split(values, 4)
    return np.concatenate([i, f, g, o])


def torch_outputs(torch: Any, policy: NumpyPolicy, sessions: list[npt.NDArray[np.float32]]) -> Float64:
    """Return the outputs of torch's LSTM, in float32, for each session, an array of shape (n, 16)."""
    ((of_inputs, of_state, input_bias, state_bias),) = policy.lstm
    lstm = torch.nn.LSTM(of_inputs.shape[1], of_state.shape[1])
    head = torch.nn.Sequential()
    for weights, bias in policy.dense:
        if len(head):
            head.append(torch.nn.Tanh())
        head.append(torch.nn.Linear(weights.shape[1], weights.shape[0]))
        _fill(torch, head[-1].weight, weights)
        _fill(torch, head[-1].bias, bias)
    _fill(torch, lstm.weight_ih_l0, of_inputs)
    _fill(torch, lstm.weight_hh_l0, of_state)
    _fill(torch, lstm.bias_ih_l0, input_bias)
    _fill(torch, lstm.bias_hh_l0, state_bias)
    probabilities = []
    with torch.no_grad():
        for observations in sessions:
            scaled = (observations.astype(np.float64) - policy.mean) / np.sqrt(policy.variance)
            inputs = torch.from_numpy(np.clip(scaled, -policy.clip, policy.clip).astype(np.float32))
            outputs, _ = lstm(inputs)
            probabilities.append(torch.softmax(head(outputs), dim=-1).numpy())
    return np.concatenate(probabilities).astype(np.float64)


def _fill(torch: Any, parameter: Any, values: npt.NDArray[Any]) -> None:
    with torch.no_grad():
        parameter.copy_(torch.from_numpy(np.asarray(values, dtype=np.float32)))
