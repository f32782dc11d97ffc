"""`tradingsignals export`: convert a RecurrentPPO zip of sb3-contrib into a model file, and prove their parity."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..adapters.onnx.errors import ExportRefused, ModelRefused
from ..adapters.onnx.metadata import KIND_NONE, Metadata, OutputKind, range_text
from ..adapters.onnx.model_file import ModelSpecification
from ..adapters.onnx.policy import OnnxPolicy
from ..domain.features import M5_V1
from ..domain.recurrent_state import ResetRule
from . import evidence
from .actions import EXAMPLE, require_actions
from .new_file import new_file, require_new

if TYPE_CHECKING:
    from ..adapters.onnx.graph import Normalisation
    from ..adapters.stable_baselines import TrainedPolicy
    from .parity import Parity

Range = tuple[datetime, datetime]

_PACKAGES = {"onnx": "onnx", "torch": "torch", "gymnasium": "gymnasium", "sb3_contrib": "sb3-contrib"}
"""Modules that only the export needs, and the packages that contain them."""
MAX_OBSERVATIONS_BYTES = 64 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions:
    """What a zip does not contain of a policy.

    features: the specification of its observations. No zip proves it, so it is required.
    actions: the meaning of actions 0, 1 and 2 in training, required likewise. The file always has HOLD, BUY, SELL.
    vecnormalize: file of VecNormalize.save(), if the policy was trained behind VecNormalize.
    observations: raw observations recorded in training, shape (n, 16), in a file of numpy.save.
    name: name of the model; default: that of the zip.
    version: version of the model; default: the beginning of a hash of the content of the file without its version.
    reset: SESSION or NEVER, according to the episodes in training.
    training_range: first and last time of the training data.
    temperature: divisor of the logits, above 0.
    calibration_range: first and last time of the data that the temperature was fitted to.
    git_revision: revision of the training code.
    """

    features: str | None = None
    actions: Sequence[str] | None = None
    vecnormalize: Path | None = None
    observations: Path | None = None
    name: str | None = None
    version: str | None = None
    reset: ResetRule = ResetRule.SESSION
    training_range: Range | None = None
    temperature: float | None = None
    calibration_range: Range | None = None
    git_revision: str | None = None


@dataclass(frozen=True, slots=True)
class Exported:
    """A model file that was written, and the parity with its source."""

    path: Path
    specification: ModelSpecification
    parity: Parity

    def report(self) -> str:
        """Describe the result in lines of text."""
        made, parity = self.specification, self.parity
        recorded = f", and {parity.recorded} recorded observations" if parity.recorded else ""
        return (
            f"{self.path}: {made.name} {made.version}, LSTM of {made.layers} x {made.hidden_size}\n"
            f"  parity with torch over {parity.steps} steps, {parity.decisions} decisions, {parity.resets} resets"
            f"{recorded}:\n"
            f"  probabilities differ by at most {parity.probability_difference:.1e}, "
            f"states by {parity.state_difference:.1e}\n"
            f"  sha256 {made.file_sha256}"
        )


def export(policy: Path, out: Path, options: ExportOptions) -> Exported:
    """Write the policy in the zip `policy` to the model file `out`, which must not exist.

    `out` is written only if the file can be used, its decisions match those of torch, and no recorded observation or
    statistic contradicts the options.

    Raises:
        ExportRefused: the policy cannot be exported, an option is invalid, or a package is missing.
        ModelRefused: the service would refuse the resulting file.
    """
    require_new(out)
    _require_packages()
    # Imported on demand, because they import torch, which serving and checking do not need.
    from ..adapters import stable_baselines as trained  # noqa: PLC0415
    from ..adapters.onnx.graph import build_model  # noqa: PLC0415
    from .parity import compare  # noqa: PLC0415

    _require_features(policy, options)
    actions = require_actions(options.actions, f"{policy}: does not define its actions 0, 1 and 2")
    _require_options(options)
    source = trained.read_policy(policy)
    statistics = None if options.vecnormalize is None else trained.read_statistics(options.vecnormalize)
    normalisation = None if statistics is None else trained.normalisation_of(statistics)
    recorded = _recorded_observations(policy, source, normalisation, options)
    weights = trained.weights_of(policy, source.network, actions, normalisation, options.temperature)
    metadata = _metadata(policy, source, normalisation, options)
    if options.version is None:
        # Hash of the whole file, because metadata such as the reset rule affects decisions as weights do.
        content_hash = hashlib.sha256(build_model(weights, metadata.to_properties())).hexdigest()
        metadata = replace(metadata, version=content_hash[:12])
    reference = trained.TorchReference(source.network, statistics, actions, options.temperature)
    with new_file(out, build_model(weights, metadata.to_properties())) as written, trained.one_thread():
        exported = _loaded(written, out)
        parity = compare(exported, reference, normalisation, recorded)
        if not parity.holds:
            step = compare(exported, reference, normalisation, recorded, carried=False)
            raise ExportRefused(f"{policy}: {_difference(parity, step)}; {out} is not written")
    return Exported(out, exported.specification, parity)


def parse_range(text: str) -> Range:
    """Parse a range such as `2021-01-04..2022-12-30`, in UTC without an offset; a date stands for its beginning.

    Raises:
        ExportRefused: the text is not a range.
    """
    ends = text.split("..")
    try:
        start, end = (datetime.fromisoformat(end) for end in ends)
    except ValueError as error:
        raise ExportRefused(f"{text}: a range such as 2021-01-04..2022-12-30 is needed") from error
    start, end = (time if time.tzinfo else time.replace(tzinfo=UTC) for time in (start, end))
    if start > end:
        raise ExportRefused(f"{text}: ends before it begins")
    return start, end


def _require_packages() -> None:
    if missing := [package for module, package in _PACKAGES.items() if find_spec(module) is None]:
        raise ExportRefused(
            f"to export takes {', '.join(missing)}, which serving does not: `make setup-train` installs it, as does "
            "the extra `train` of this package"
        )


def _require_features(policy: Path, options: ExportOptions) -> None:
    """Require the options that no zip contains; one message names both."""
    if options.features is None:
        no_actions = options.actions is None
        undefined, order = (" and its 3 actions", ", and in the order of its actions") if no_actions else ("", "")
        raise ExportRefused(
            f"{policy}: does not define its {len(M5_V1.names)} observations{undefined}; if they are the features of "
            f"models/README.md{order}, add --features {M5_V1.name}{f' {EXAMPLE}' if no_actions else ''}"
        )
    if options.features != M5_V1.name:
        raise ExportRefused(f"--features {options.features}: this service computes {M5_V1.name}; train it on those")


def _require_options(options: ExportOptions) -> None:
    if options.temperature is not None and not 0.0 < options.temperature < float("inf"):
        raise ExportRefused(f"--temperature {options.temperature}: a number above 0 is needed")
    if options.reset is ResetRule.NONE:
        raise ExportRefused("--reset none: a RecurrentPPO policy has a state; session or never is needed")


def _metadata(
    policy: Path, source: TrainedPolicy, normalisation: Normalisation | None, options: ExportOptions
) -> Metadata:
    return Metadata(
        name=options.name or policy.stem,
        version=options.version or "-",
        type="PPO-LSTM",
        output=OutputKind.PROBABILITIES,
        reset=options.reset,
        normalisation=_normalisation_text(normalisation),
        calibration=_calibration_text(options),
        training_range=options.training_range,
        git_revision=options.git_revision,
        seed=None if source.seed is None else str(source.seed),
    )


def _loaded(written: Path, out: Path) -> OnnxPolicy:
    """Load the policy in the file `written`, which will be renamed to `out`."""
    try:
        return OnnxPolicy(written)
    except ModelRefused as refused:
        raise ModelRefused(out, refused.reason) from refused


def _recorded_observations(
    policy: Path, source: TrainedPolicy, normalisation: Normalisation | None, options: ExportOptions
) -> npt.NDArray[np.float32]:
    """Return the raw observations of the training, shape (n, 16).

    Raises:
        ExportRefused: they, or the statistics of the training, contradict the features or the options.
    """
    if source.behind_vecnormalize and options.vecnormalize is None:
        raise ExportRefused(
            f"{policy}: was trained behind VecNormalize, for it stores an original observation beside the normalised "
            "one; give its statistics with --vecnormalize FILE, which VecNormalize.save() writes"
        )
    if source.behind_vecnormalize is False and options.vecnormalize is not None:
        raise ExportRefused(f"{policy}: was not trained behind VecNormalize, so omit --vecnormalize")
    recorded = {policy: source.observations}
    if options.observations is not None:
        recorded[options.observations] = _read_observations(options.observations)
    for path, rows in recorded.items():
        if (reason := evidence.against_observations(rows)) is not None:
            raise ExportRefused(f"{path}: was not recorded from the features {M5_V1.name}: it has {reason}")
    if normalisation is not None and (
        reason := evidence.against_statistics(normalisation.mean, normalisation.variance)
    ):
        raise ExportRefused(f"{options.vecnormalize}: are not statistics of the features {M5_V1.name}: {reason}")
    return np.concatenate(list(recorded.values()))


def _read_observations(path: Path) -> npt.NDArray[np.float32]:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_OBSERVATIONS_BYTES + 1)
        if len(content) > MAX_OBSERVATIONS_BYTES:
            raise ExportRefused(f"{path}: has more than {MAX_OBSERVATIONS_BYTES >> 20} MiB; a few sessions are enough")
        rows = np.load(io.BytesIO(content), allow_pickle=False)
    except OSError as error:
        raise ExportRefused(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise ExportRefused(f"{path}: is not a file that numpy.save wrote") from error
    if not (
        isinstance(rows, np.ndarray) and rows.ndim == 2 and rows.shape[1] == len(M5_V1.names) and rows.dtype.kind == "f"
    ):
        raise ExportRefused(f"{path}: raw observations of shape (n, {len(M5_V1.names)}) are needed, as floats")
    return rows.astype(np.float32)


def _difference(run: Parity, step: Parity) -> str:
    """Explain missing parity over a run, given the parity of single steps from equal states."""
    if step.holds:
        difference = max(run.probability_difference, run.state_difference)
        return (
            f"each step agrees with torch to {step.state_difference:.0e}, but its recurrence magnifies rounding to "
            f"{difference:.0e} over a run, so no two machines would agree on its decisions; train it with smaller "
            "weights"
        )
    return (
        f"decides differently in ONNX and in torch: probabilities differ by up to {run.probability_difference:.1e} "
        f"and states by {run.state_difference:.1e}"
    )


def _normalisation_text(normalisation: Normalisation | None) -> str:
    if normalisation is None:
        return KIND_NONE
    return json.dumps(
        {
            "kind": "in_graph",
            "mean": normalisation.mean.tolist(),
            "variance": normalisation.variance.tolist(),
            "epsilon": normalisation.epsilon,
            "clip": normalisation.clip,
        }
    )


def _calibration_text(options: ExportOptions) -> str:
    if options.temperature is None:
        return KIND_NONE
    fitted_to = None if options.calibration_range is None else json.loads(range_text(options.calibration_range))
    return json.dumps({"kind": "temperature", "temperature": options.temperature, "range": fitted_to})
