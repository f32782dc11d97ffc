"""`tradingsignals export` of an ONNX file: write the order of its actions into its metadata."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from ..adapters.onnx.envelope import read_envelope
from ..adapters.onnx.errors import ExportRefused, ModelRefused, Unfit
from ..adapters.onnx.metadata import PREFIX
from ..adapters.onnx.model_file import read_model_file
from ..adapters.onnx.policy import OnnxPolicy
from ..adapters.onnx.wire import fields, length_delimited
from .actions import require_actions
from .check import described
from .new_file import new_file, require_new

_PROPERTIES = 14  # metadata_props of onnx.proto's ModelProto; a key is field 1 of each, its value field 2


def label(model: Path, out: Path, actions: Sequence[str] | None) -> str:
    """Write the plain model file `model` to `out` with `actions`, one for each column of its output, in its metadata.

    Returns a description of the new file in lines of text.

    Raises:
        ExportRefused: it has metadata already, or `actions` are not HOLD, BUY and SELL, or `out` exists.
        ModelRefused: the service would refuse the file.
    """
    require_new(out)
    order = require_actions(actions, f"{model}: the columns of its output have no names")
    content = read_model_file(model)
    try:
        read_envelope(content)
    except Unfit as unfit:
        raise ModelRefused(model, str(unfit)) from unfit
    if _has_metadata(content):
        raise ExportRefused(f"{model}: has metadata of its own, which defines its actions; edit that")
    key, value = (PREFIX + "actions").encode(), json.dumps(order).encode()
    # A repeated field may occur anywhere in a message, also at its end.
    content += length_delimited(_PROPERTIES, length_delimited(1, key) + length_delimited(2, value))
    with new_file(out, content) as written:
        try:
            OnnxPolicy(written, confined=True)
        except ModelRefused as refused:
            raise ModelRefused(out, refused.reason) from refused
    # Loaded again from its final path, because a plain file is named after its path.
    return described(out, OnnxPolicy(out))


def _has_metadata(content: bytes) -> bool:
    properties = [
        bytes(value)
        for number, value in fields(memoryview(content))
        if number == _PROPERTIES and not isinstance(value, int)
    ]
    return any(PREFIX.encode() in entry for entry in properties)
