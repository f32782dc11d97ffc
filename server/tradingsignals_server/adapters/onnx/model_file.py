"""A model file: an ONNX graph that carries, in its metadata, all that must be known of it to serve it.

The contract, in float32 throughout: inputs `observation` (batch, 16) and, of a recurrent policy, `hidden` and `cell`
(batch, layers, size); outputs `probabilities` or `logits` (batch, 3) in the order of the metadata's actions, and
`hidden_next` and `cell_next` of the shapes of their inputs. models/README.md explains it to those who make a file.

The seed contract, for a file without metadata: one input (batch, 16) and one output (batch, 3), the probabilities, by
whatever names; no state. They are of HOLD, BUY and SELL, unless the graph's class labels say otherwise.
"""

from __future__ import annotations

import hashlib
import stat
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import onnxruntime

from ...application.ports.policy import TensorShape
from ...domain.features import FEATURE_NAMES, FEATURE_SPECIFICATION
from ...domain.recurrent_state import ResetRule
from ...domain.signals import Action
from ...domain.window import LOOKBACK_BARS
from .confinement import require_bounded
from .envelope import Envelope, read_envelope
from .errors import ModelRefused, Unfit, runtime_said
from .labels import ActionSource, action_order
from .metadata import Metadata, OutputKind, plain_actions, read_metadata
from .tensors import Tensors, tensors_of
from .trial import try_out

__all__ = ["LoadedModel", "ModelRefused", "ModelSpecification", "load_content", "load_model", "read_model_file"]

PROVIDERS = ("CPUExecutionProvider",)
NEWEST_OPSET = 21
"""The newest of ONNX's operators that a file is advised to use; every ONNX Runtime that we accept runs them."""
MAX_FILE_BYTES = 256 << 20
"""Some sixty million weights, a thousand times those of the shipped policy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpecification:
    """What a model file is, as far as it has been checked, and what it says of itself.

    version: stands on every signal.
    actions: what the columns of its output are, and actions_source what tells it.
    reset: when the recurrent state goes back to zeros; NONE without one, and then layers and hidden_size are 0.
    normalisation, calibration: JSON, what the graph does to the observation and to its confidence.
    training_range: first and last instant of the data it was trained on.
    inputs: observation, hidden, cell, in this order; outputs: the answer, the next hidden and the next cell.
    open_batch: it takes any number of observations at once; else one at a time.
    file_sha256: of the whole file, in hexadecimal.
    """

    name: str
    version: str
    type: str
    feature_specification: str
    feature_names: tuple[str, ...]
    lookback_bars: int
    actions: tuple[Action, ...]
    actions_source: ActionSource
    output: OutputKind
    reset: ResetRule
    layers: int
    hidden_size: int
    normalisation: str
    calibration: str
    training_range: tuple[datetime, datetime] | None
    git_revision: str | None
    seed: str | None
    inputs: tuple[TensorShape, ...]
    outputs: tuple[TensorShape, ...]
    open_batch: bool
    opset: int
    file_sha256: str

    @property
    def recurrent(self) -> bool:
        """True if it carries a state from bar to bar."""
        return self.layers > 0


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A file that will serve: what it is, and ONNX Runtime's session of it."""

    specification: ModelSpecification
    session: Any


def load_model(path: Path, *, confined: bool = False) -> LoadedModel:
    """Read the model file at `path`, check it against the contract, and try it.

    It is read once: what is hashed is what runs, whatever happens to the file meanwhile. `confined`: it is loaded first
    in a process of its own, bounded in time and memory.

    Raises:
        ModelRefused: it will not serve.
    """
    content = read_model_file(path)
    if confined:
        try:
            require_bounded(content)
        except Unfit as unfit:
            raise ModelRefused(path, str(unfit)) from unfit
    return load_content(path, content)


def read_model_file(path: Path) -> bytes:
    """The content of the file at `path`.

    Raises:
        ModelRefused: it cannot be read, is no regular file, or has more than MAX_FILE_BYTES.
    """
    try:
        if not stat.S_ISREG(mode := path.stat().st_mode) and not stat.S_ISDIR(mode):
            raise ModelRefused(path, "is not a file but a device or a pipe; name a file")
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ModelRefused(path, f"cannot be read ({error.strerror})") from error
    if len(content) > MAX_FILE_BYTES:
        raise ModelRefused(path, f"has more than {MAX_FILE_BYTES >> 20} MiB; export a smaller network")
    return content


def load_content(path: Path, content: bytes) -> LoadedModel:
    """The model in `content`, which was read from `path`, checked and tried.

    Raises:
        ModelRefused: it will not serve.
    """
    try:
        envelope = read_envelope(content)
        session = _session_of(content, envelope)
        properties = session.get_modelmeta().custom_metadata_map
        metadata = read_metadata(properties)
        said = plain_actions(properties) if metadata is None else metadata.actions
        actions, source = action_order(said, envelope.labels)
        tensors = tensors_of(session, metadata)
        specification = _specification(content, envelope, metadata or _plain_metadata(path), tensors, actions, source)
        try_out(session, tensors, specification.output)
    except UnicodeDecodeError as error:
        raise ModelRefused(path, "has names or metadata that are not UTF-8 text; copy or export it again") from error
    except Unfit as unfit:
        raise ModelRefused(path, str(unfit)) from unfit
    return LoadedModel(specification, session)


def _session_of(content: bytes, envelope: Envelope) -> Any:
    options = onnxruntime.SessionOptions()
    # One inference takes tens of microseconds: more threads only spin, and a second core is better used elsewhere.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(content, options, providers=list(PROVIDERS), enable_fallback=0)
    except Exception as error:
        # ONNX Runtime raises a dozen classes of its own for a bad file.
        runtime = f"onnxruntime {onnxruntime.__version__}"
        if envelope.opset > NEWEST_OPSET:
            raise Unfit(
                f"needs opset {envelope.opset}, which {runtime} does not load ({runtime_said(error)}); "
                f"export it with opset {NEWEST_OPSET} or lower"
            ) from error
        raise Unfit(
            f"does not load in {runtime} ({runtime_said(error)}); "
            f"export it again, with nothing but ONNX's own operators of opset {NEWEST_OPSET} or lower"
        ) from error


def _plain_metadata(path: Path) -> Metadata:
    """Stands in for that of a plain file, called after itself, or after the folders that model.onnx lies in."""
    name, version = "onnx", path.stem
    if path.stem == "model":
        folder = path.absolute().parent
        name, version = folder.parent.name or name, folder.name or version
    return Metadata(name, version, "onnx", OutputKind.PROBABILITIES, ResetRule.NONE)


def _specification(
    content: bytes,
    envelope: Envelope,
    said: Metadata,
    tensors: Tensors,
    actions: tuple[Action, ...],
    source: ActionSource,
) -> ModelSpecification:
    return ModelSpecification(
        name=said.name,
        version=said.version,
        type=said.type,
        feature_specification=FEATURE_SPECIFICATION,
        feature_names=FEATURE_NAMES,
        lookback_bars=LOOKBACK_BARS,
        actions=actions,
        actions_source=source,
        output=said.output,
        reset=said.reset,
        layers=tensors.layers,
        hidden_size=tensors.hidden_size,
        normalisation=said.normalisation,
        calibration=said.calibration,
        training_range=said.training_range,
        git_revision=said.git_revision,
        seed=said.seed,
        inputs=tensors.inputs,
        outputs=tensors.outputs,
        open_batch=tensors.open_batch,
        opset=envelope.opset,
        file_sha256=hashlib.sha256(content).hexdigest(),
    )
