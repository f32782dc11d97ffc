"""The shipped model file, and variants of it that decide differently."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from tradingsignals_server.adapters.onnx.entries import PREFIX
from tradingsignals_server.adapters.onnx.repository import MODEL_FILE, newest_model, shipped_models


def shipped_model() -> Path:
    """Return the file of the shipped policy."""
    folder = shipped_models()
    assert folder is not None, "no policy is shipped"
    return newest_model(folder)


def variant(version: str, *, sharper: float = 1.0, **metadata: str) -> bytes:
    """Return the shipped model under another version, with `metadata` changed.

    `sharper` scales the weights of its last layer and of its recurrence, so that its decisions and states are its own.
    """
    model = onnx.load(shipped_model())
    heads = [node for node in model.graph.node if node.op_type == "Gemm"]
    (lstm,) = (node for node in model.graph.node if node.op_type == "LSTM")
    scaled = {heads[-1].input[1]: sharper, lstm.input[2]: sharper}
    for place, tensor in enumerate(model.graph.initializer):
        if tensor.name in scaled:
            values = numpy_helper.to_array(tensor) * np.float32(scaled[tensor.name])
            model.graph.initializer[place].CopyFrom(numpy_helper.from_array(values, tensor.name))
    properties = {found.key: found.value for found in model.metadata_props}
    properties |= {PREFIX + key: text for key, text in {"version": version, **metadata}.items()}
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, properties)
    return bytes(model.SerializeToString())


def release(folder: Path, version: str, content: bytes) -> Path:
    """Install a version in a folder of versions atomically, and return its file."""
    file = folder / version / MODEL_FILE
    file.parent.mkdir(parents=True)
    written = file.with_suffix(".part")
    written.write_bytes(content)
    return written.rename(file)
