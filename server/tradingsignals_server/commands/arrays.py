"""Arrays that were recorded in training, in files of numpy.save, and what a model file keeps of them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ..adapters.onnx.declared_features import BARS, DeclaredFeatures
from ..adapters.onnx.errors import ExportRefused
from ..domain.drift import Distribution

MAX_RECORDED_BYTES = 64 << 20

LEAST_OBSERVATIONS: Final = 1000
"""Fewer are some sessions, and not the distribution of the training."""

Float32 = npt.NDArray[np.float32]


def observations_of(path: Path, size: int) -> Float32:
    """Return the observations in a file, shape (n, `size`).

    Raises:
        ExportRefused: it has something else.
    """
    rows = array_of(path)
    if rows.ndim < 2 or rows[:1].size not in {0, size} or rows.dtype.kind != "f":
        raise ExportRefused(f"{path}: raw observations of shape (n, {size}) are needed, as floats")
    return rows.reshape(len(rows), size).astype(np.float32)


def distributions_of(features: DeclaredFeatures, observations: Float32) -> tuple[Distribution, ...]:
    """Return the distribution of each feature of the newest frame in `observations` (n, size), as the policy got them,
    in the order of time.

    Empty for fewer than LEAST_OBSERVATIONS, and for raw bars, whose prices differ from those of the training always.
    """
    if features.specification == BARS or len(observations) < LEAST_OBSERVATIONS:
        return ()
    return tuple(Distribution.of_training(values) for values in observations[:, -len(features.names) :].T)


def array_of(path: Path) -> npt.NDArray[Any]:
    """Return the array in a file.

    Raises:
        ExportRefused: it cannot be read, or has something else.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_RECORDED_BYTES + 1)
        if len(content) > MAX_RECORDED_BYTES:
            raise ExportRefused(f"{path}: has more than {MAX_RECORDED_BYTES >> 20} MiB; a few sessions are enough")
        rows = np.load(io.BytesIO(content), allow_pickle=False)
    except OSError as error:
        raise ExportRefused(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise ExportRefused(f"{path}: is not a file that numpy.save wrote") from error
    if not isinstance(rows, np.ndarray):
        raise ExportRefused(f"{path}: contains several arrays; one that numpy.save wrote is needed")
    return rows
