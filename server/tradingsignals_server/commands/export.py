"""`tradingsignals export`: a RecurrentPPO zip of sb3-contrib becomes a model file that is proven to decide the same."""

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
from ..domain.features import FEATURE_NAMES, FEATURE_SPECIFICATION
from ..domain.recurrent_state import ResetRule
from . import evidence
from .actions import EXAMPLE, require_actions
from .new_file import new_file, require_new

if TYPE_CHECKING:
    from ..adapters.onnx.graph import Normalisation
    from ..adapters.stable_baselines import TrainedPolicy
    from .parity import Parity

__all__ = ["ExportRefused", "Exported", "export", "parse_range"]

Range = tuple[datetime, datetime]

_PACKAGES = {"onnx": "onnx", "torch": "torch", "gymnasium": "gymnasium", "sb3_contrib": "sb3-contrib"}
"""What exporting needs beyond serving: module and package."""
MAX_OBSERVATIONS_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Exported:
    """A model file that was written, and how it compares with what it was made of."""

    path: Path
    specification: ModelSpecification
    parity: Parity

    def report(self) -> str:
        """What to tell who asked for it, some lines."""
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


def export(
    policy: Path,
    out: Path,
    *,
    features: str | None,
    actions: Sequence[str] | None,
    vecnormalize: Path | None = None,
    observations: Path | None = None,
    name: str | None = None,
    version: str | None = None,
    reset: ResetRule = ResetRule.SESSION,
    training_range: Range | None = None,
    temperature: float | None = None,
    calibration_range: Range | None = None,
    git_revision: str | None = None,
) -> Exported:
    """Write the policy in the zip `policy` to the model file `out`, which must not be there yet.

    features: the specification of what it observes; nothing in a zip proves it, so it is asked for.
    actions: what actions 0, 1 and 2 were in training, asked for likewise. The file has HOLD, BUY, SELL in any case.
    vecnormalize: what VecNormalize.save() wrote, if the policy was trained behind it.
    observations: some that were recorded in training, raw, (n, 16) in a file of numpy.save.
    name: that of the zip if it is not given. version: the beginning of a hash of the file's content, less the version.
    reset: SESSION or NEVER, as episodes began in training.
    temperature: what the logits are divided by, above 0; calibration_range: the data it was found on.

    `out` is written only if the file serves, decides as torch does, and nothing that was recorded speaks against it.

    Raises:
        ExportRefused: the policy cannot be exported, or an argument or the machine is not fit for it.
        ModelRefused: the file that was made would not serve.
    """
    require_new(out)
    _require_packages()
    # Only now, for they import torch: serving and checking do without it.
    from ..adapters import stable_baselines as trained  # noqa: PLC0415
    from ..adapters.onnx.graph import build_model  # noqa: PLC0415
    from .parity import compare  # noqa: PLC0415

    _require_features(policy, features, actions)
    order = require_actions(actions, f"{policy}: does not say what its actions 0, 1 and 2 are")
    _require_options(reset, temperature)
    source = trained.read_policy(policy)
    statistics = None if vecnormalize is None else trained.read_statistics(vecnormalize)
    normalisation = None if statistics is None else trained.normalisation_of(statistics)
    recorded = _evidence(policy, source, vecnormalize, normalisation, observations)
    weights = trained.weights_of(policy, source.network, order, normalisation, temperature)
    metadata = Metadata(
        name=name or policy.stem,
        version=version or "-",
        type="PPO-LSTM",
        output=OutputKind.PROBABILITIES,
        reset=reset,
        normalisation=_normalisation_text(normalisation),
        calibration=_calibration_text(temperature, calibration_range),
        training_range=training_range,
        git_revision=git_revision,
        seed=None if source.seed is None else str(source.seed),
    )
    if version is None:
        # Of the whole file: what it says of itself, such as when its state is reset, decides as its weights do.
        hashed = hashlib.sha256(build_model(weights, metadata.to_properties())).hexdigest()
        metadata = replace(metadata, version=hashed[:12])
    witness = trained.TorchWitness(source.network, statistics, order, temperature)
    with new_file(out, build_model(weights, metadata.to_properties())) as written, trained.one_thread():
        exported = _loaded(written, out)
        parity = compare(exported, witness, normalisation, recorded)
        if not parity.holds:
            step = compare(exported, witness, normalisation, recorded, carried=False)
            raise ExportRefused(f"{policy}: {_difference(parity, step)}; {out} is not written")
    return Exported(out, exported.specification, parity)


def parse_range(text: str) -> Range:
    """`2021-01-04..2022-12-30` as two instants, UTC where no zone is named; a day alone is its first instant.

    Raises:
        ExportRefused: it is no range.
    """
    ends = text.split("..")
    try:
        start, end = (datetime.fromisoformat(end) for end in ends)
    except ValueError as error:
        raise ExportRefused(f"{text}: a range such as 2021-01-04..2022-12-30 is needed") from error
    start, end = (instant if instant.tzinfo else instant.replace(tzinfo=UTC) for instant in (start, end))
    if start > end:
        raise ExportRefused(f"{text}: ends before it begins")
    return start, end


def _require_packages() -> None:
    if missing := [package for module, package in _PACKAGES.items() if find_spec(module) is None]:
        raise ExportRefused(
            f"to export takes {', '.join(missing)}, which serving does not: `make setup-train` brings it, as does "
            "the extra `train` of this package"
        )


def _require_features(policy: Path, features: str | None, actions: Sequence[str] | None) -> None:
    """Ask for what no zip says; for both in one line."""
    if features is None:
        asked = f"--features {FEATURE_SPECIFICATION}" + (f" {EXAMPLE}" if actions is None else "")
        raise ExportRefused(
            f"{policy}: does not say what its {len(FEATURE_NAMES)} observations"
            f"{' and its 3 actions are' if actions is None else ' are'}; if they are the features of models/README.md"
            f"{', and in the order of its actions' if actions is None else ''}, say so: {asked}"
        )
    if features != FEATURE_SPECIFICATION:
        raise ExportRefused(f"--features {features}: this service computes {FEATURE_SPECIFICATION}; train it on those")


def _require_options(reset: ResetRule, temperature: float | None) -> None:
    if temperature is not None and not 0.0 < temperature < float("inf"):
        raise ExportRefused(f"--temperature {temperature}: a number above 0 is needed")
    if reset is ResetRule.NONE:
        raise ExportRefused("--reset none: a RecurrentPPO policy has a state; session or never is needed")


def _loaded(written: Path, out: Path) -> OnnxPolicy:
    """The policy in the file `written`, which is to become `out`."""
    try:
        return OnnxPolicy(written)
    except ModelRefused as refused:
        raise ModelRefused(out, refused.reason) from refused


def _evidence(
    policy: Path,
    source: TrainedPolicy,
    vecnormalize: Path | None,
    normalisation: Normalisation | None,
    observations: Path | None,
) -> npt.NDArray[np.float32]:
    """The raw observations that are known from the training, (n, 16), after all that they and the statistics tell."""
    if source.behind_vecnormalize and vecnormalize is None:
        raise ExportRefused(
            f"{policy}: was trained behind VecNormalize, for it stores an original observation beside the normalised "
            "one; give its statistics with --vecnormalize FILE, which VecNormalize.save() writes"
        )
    if source.behind_vecnormalize is False and vecnormalize is not None:
        raise ExportRefused(f"{policy}: was not trained behind VecNormalize, so leave --vecnormalize away")
    known = {policy: source.observations}
    if observations is not None:
        known[observations] = _read_observations(observations)
    for path, rows in known.items():
        if (reason := evidence.against_observations(rows)) is not None:
            raise ExportRefused(f"{path}: was not recorded from the features {FEATURE_SPECIFICATION}: it has {reason}")
    if normalisation is not None and (
        reason := evidence.against_statistics(normalisation.mean, normalisation.variance)
    ):
        raise ExportRefused(f"{vecnormalize}: are not statistics of the features {FEATURE_SPECIFICATION}: {reason}")
    return np.concatenate(list(known.values()))


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
        isinstance(rows, np.ndarray)
        and rows.ndim == 2
        and rows.shape[1] == len(FEATURE_NAMES)
        and rows.dtype.kind == "f"
    ):
        raise ExportRefused(f"{path}: raw observations of shape (n, {len(FEATURE_NAMES)}) are needed, as floats")
    return rows.astype(np.float32)


def _difference(run: Parity, step: Parity) -> str:
    """Why there is no parity over a run, given also how far single steps from the same state agree."""
    if step.holds:
        apart = max(run.probability_difference, run.state_difference)
        return (
            f"each step agrees with torch to {step.state_difference:.0e}, but its recurrence magnifies rounding to "
            f"{apart:.0e} over a run, so no two machines would agree on what it decides; train it with smaller weights"
        )
    return (
        f"decides otherwise in ONNX than in torch: probabilities differ by up to {run.probability_difference:.1e} "
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


def _calibration_text(temperature: float | None, calibration_range: Range | None) -> str:
    if temperature is None:
        return KIND_NONE
    on = None if calibration_range is None else json.loads(range_text(calibration_range))
    return json.dumps({"kind": "temperature", "temperature": temperature, "range": on})
