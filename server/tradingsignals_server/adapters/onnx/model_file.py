"""Model files: ONNX graphs whose metadata describes all that the service needs to run them.

The contract: an input of observations (batch, numbers) and, if recurrent, inputs of its state; an output of
probabilities, logits, values of actions or a choice, (batch, columns) in the order of the actions in the metadata, and
the next state in the shapes of its inputs. models/README.md documents it for authors of files.

The seed contract, for a file without metadata: one input (batch, 16) and one output (batch, 3) of probabilities, under
any names, and no state. The columns are HOLD, BUY and SELL, unless class labels in the graph define another order.
"""

from __future__ import annotations

import hashlib
import stat
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import onnxruntime

from ...application.ports.policy import TensorShape
from ...domain.calibration import WinCalibration
from ...domain.drift import Distribution
from ...domain.features import Features, Scaling
from ...domain.recurrent_state import ResetRule
from ...domain.signals import Action
from .confinement import require_bounded
from .declared_features import DeclaredFeatures
from .envelope import Envelope, read_envelope
from .errors import ModelRefused, Unfit, runtime_message
from .labels import ActionSource, action_order
from .metadata import Metadata, OutputKind, plain_actions, read_metadata, win_calibration_of
from .policy_features import own_features
from .scaling import scaling_of
from .tensors import Tensors, tensors_of
from .trial import run_trial

PROVIDERS = ("CPUExecutionProvider",)
NEWEST_OPSET = 21
"""Newest opset that error messages recommend; every supported version of ONNX Runtime runs it."""
MAX_FILE_BYTES = 256 << 20
"""Enough for some sixty million weights, a thousand times those of the shipped policy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpecification:
    """Checked properties of a model file, and its metadata.

    version: appears on every signal.
    features: the observation; interval: of its bars.
    actions: the action of each column of the output; actions_source: where that order comes from.
    reset: when the recurrent state and the frames of an observation are reset to zeros.
    state_tensors, layers, hidden_size: shape of the recurrent state; layers and hidden_size are 0 without one.
    normalisation: JSON, how the observation is scaled.
    calibration: JSON, that of the win probability, or the temperature of the graph's logits.
    training_range: first and last time (UTC) of the training data.
    inputs: the observation, then the state; outputs: the output, then the next state.
    open_batch: whether the graph takes any number of observations at once, instead of one.
    file_sha256: hash of the whole file, in hexadecimal.
    distributions: of each feature of the newest frame in training, as the policy gets it; empty if they are not known.
    """

    name: str
    version: str
    type: str
    features: DeclaredFeatures
    interval: timedelta
    actions: tuple[Action, ...]
    actions_source: ActionSource
    output: OutputKind
    reset: ResetRule
    state_tensors: int
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
    distributions: tuple[Distribution, ...] = ()

    @property
    def recurrent(self) -> bool:
        """Whether the model has a recurrent state."""
        return self.layers > 0

    @property
    def win_calibration(self) -> WinCalibration | None:
        """The calibration of the win probability, None if the model has none."""
        return win_calibration_of(self.calibration)


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A checked model file.

    tensors: those in use. scaling: what the service does to an observation by the normalisation, None if nothing.
    features: what computes its observations, None if that is a module of the user. session: of ONNX Runtime.
    """

    specification: ModelSpecification
    tensors: Tensors
    scaling: Scaling | None
    features: Features | None
    session: Any


def load_model(path: Path, *, confined: bool = False) -> LoadedModel:
    """Read the model file at `path`, check it against the contract, and run the trial.

    The file is read once, so the hash is that of the loaded content even if the file changes meanwhile. With `confined`
    it is loaded first in a separate process with limits on time and memory.

    Raises:
        ModelRefused: the file cannot be used.
    """
    content = read_model_file(path)
    if confined:
        try:
            require_bounded(content)
        except Unfit as unfit:
            raise ModelRefused(path, str(unfit)) from unfit
    return load_content(path, content)


def read_model_file(path: Path) -> bytes:
    """Return the content of the file at `path`.

    Raises:
        ModelRefused: it cannot be read, is not a regular file, or has more than MAX_FILE_BYTES.
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
    """Load the model in `content`, which was read from `path`, check it and run the trial.

    Raises:
        ModelRefused: the file cannot be used.
    """
    try:
        envelope = read_envelope(content)
        session = _session_of(content, envelope)
        properties = session.get_modelmeta().custom_metadata_map
        declared = read_metadata(properties)
        actions, source = action_order(
            plain_actions(properties) if declared is None else declared.actions, envelope.labels
        )
        metadata = replace(declared or plain_metadata(path), actions=actions)
        scaling = scaling_of(metadata)
        features = own_features(metadata, scaling)
        tensors = tensors_of(session, metadata, plain=declared is None)
        run_trial(session, tensors, metadata, scaling)
        specification = _specification(content, envelope, metadata, tensors, source)
    except UnicodeDecodeError as error:
        raise ModelRefused(path, "has names or metadata that are not UTF-8 text; copy or export it again") from error
    except Unfit as unfit:
        raise ModelRefused(path, str(unfit)) from unfit
    return LoadedModel(specification, tensors, scaling, features, session)


def _session_of(content: bytes, envelope: Envelope) -> Any:
    options = onnxruntime.SessionOptions()
    # One inference takes tens of microseconds: more threads would only spin on cores that others need.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(content, options, providers=list(PROVIDERS), enable_fallback=0)
    except Exception as error:
        # ONNX Runtime has a dozen exception classes for invalid files, without a common base.
        runtime = f"onnxruntime {onnxruntime.__version__}"
        if envelope.opset > NEWEST_OPSET:
            raise Unfit(
                f"needs opset {envelope.opset}, which {runtime} does not load ({runtime_message(error)}); "
                f"export it with opset {NEWEST_OPSET} or lower"
            ) from error
        raise Unfit(
            f"does not load in {runtime} ({runtime_message(error)}); "
            f"export it again, with nothing but ONNX's own operators of opset {NEWEST_OPSET} or lower"
        ) from error


def plain_metadata(path: Path) -> Metadata:
    """Return metadata for a plain file; name and version come from its name, or from the folders of a model.onnx."""
    name, version = "onnx", path.stem
    if path.stem == "model":
        folder = path.absolute().parent
        name, version = folder.parent.name or name, folder.name or version
    return Metadata(name, version, "onnx", OutputKind.PROBABILITIES, ResetRule.NONE)


def _specification(
    content: bytes,
    envelope: Envelope,
    metadata: Metadata,
    tensors: Tensors,
    source: ActionSource,
) -> ModelSpecification:
    state_tensors, layers, hidden_size = tensors.state_shape
    return ModelSpecification(
        name=metadata.name,
        version=metadata.version,
        type=metadata.type,
        features=metadata.features,
        interval=metadata.interval,
        actions=metadata.actions,
        actions_source=source,
        output=metadata.output,
        reset=metadata.reset,
        state_tensors=state_tensors,
        layers=layers,
        hidden_size=hidden_size,
        normalisation=metadata.normalisation,
        calibration=metadata.calibration,
        distributions=metadata.distributions,
        training_range=metadata.training_range,
        git_revision=metadata.git_revision,
        seed=metadata.seed,
        inputs=tensors.inputs,
        outputs=tensors.outputs,
        open_batch=tensors.open_batch,
        opset=envelope.opset,
        file_sha256=hashlib.sha256(content).hexdigest(),
    )
