"""Conversion of a module of torch by torch's own exporter, for parts that the writer of graphs has no operators for."""

from __future__ import annotations

import io
import warnings
from math import prod
from pathlib import Path

import onnx
import torch

from ..onnx.errors import ExportRefused, first_line
from ..onnx.graph import OPSET, Traced


def traced(path: Path, module: torch.nn.Module, shape: tuple[int, ...]) -> Traced:
    """Convert a module that takes tensors of (batch, *shape) to one that takes (batch, product of `shape`).

    `path` is that of the policy, for error messages.

    Raises:
        ExportRefused: torch cannot convert it, or it does not return tensors of (batch, n).
    """
    name = type(module).__name__
    content = io.BytesIO()
    inputs = prod(shape)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                _Shaped(module, shape),
                (torch.zeros(2, inputs),),
                content,
                input_names=["given"],
                output_names=["made"],
                dynamic_axes={"given": {0: "batch"}, "made": {0: "batch"}},
                opset_version=OPSET,
                dynamo=False,
            )
        model = onnx.load_from_string(content.getvalue())
    except Exception as error:
        # torch raises many kinds of errors for modules that it cannot convert.
        raise ExportRefused(
            f"{path}: has a {name} that torch cannot convert to ONNX ({first_line(error)}); use layers that it can"
        ) from error
    return Traced(model.SerializeToString(), inputs)


class _Shaped(torch.nn.Module):  # type: ignore[misc] # the extra `train` has no types here
    """A module behind a reshape of its input."""

    def __init__(self, module: torch.nn.Module, shape: tuple[int, ...]) -> None:
        super().__init__()
        self._module = module.eval()
        self._shape = shape

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        """Return what the module makes of `given`, shape (batch, n)."""
        made: torch.Tensor = self._module(given.reshape(-1, *self._shape))
        return made
