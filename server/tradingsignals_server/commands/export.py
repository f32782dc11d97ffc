"""`tradingsignals export`: convert a zip of stable-baselines3 into a model file, and prove their parity."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..adapters.onnx.errors import ExportRefused, ModelRefused
from ..adapters.onnx.metadata import KIND_NONE, Metadata, OutputKind
from ..adapters.onnx.model_file import ModelSpecification, load_model
from ..adapters.onnx.policy import OnnxPolicy
from ..adapters.python_features import PythonFeatures
from ..domain.features import Features, RawBars
from ..domain.recurrent_state import ResetRule
from ..domain.signals import Action
from ..domain.wording import counted
from .arrays import distributions_of
from .export_options import ExportOptions, TrainedFeatures, require_branch, require_observed, require_valid
from .new_file import new_file, require_new
from .parity import Candidate, Parity, Recording, compare
from .recorded import confirmed_actions, recording_of
from .samples import Sampler

if TYPE_CHECKING:
    from ..adapters.onnx.graph import Normalisation
    from ..adapters.stable_baselines.policy import TrainedPolicy

__all__ = ["ExportOptions", "Exported", "export"]

_PACKAGES = {"onnx": "onnx", "torch": "torch", "gymnasium": "gymnasium", "sb3_contrib": "sb3-contrib"}
"""Modules that only the export needs, and the packages that contain them."""


@dataclass(frozen=True, slots=True)
class Exported:
    """A model file that was written, and the parity with its source.

    confirmed: number of recorded actions that were those of the policy.
    """

    path: Path
    specification: ModelSpecification
    parity: Parity
    confirmed: int = 0

    def report(self) -> str:
        """Describe the result in lines of text."""
        made, parity = self.specification, self.parity
        state = f", state of {made.layers} x {made.hidden_size}" if made.recurrent else ""
        recorded = f", and {counted(parity.recorded, 'recorded observation')}" if parity.recorded else ""
        lines = [
            f"{self.path}: {made.name} {made.version}, {made.type}{state}",
            f"  parity with torch over {counted(parity.steps, 'step')}, {counted(parity.decisions, 'decision')}, "
            f"{counted(parity.resets, 'reset')}"
            f"{recorded}:",
            f"  {made.output.value.replace('_', ' ')} differ by at most {parity.output_difference:.1e}"
            + (f", states by {parity.state_difference:.1e}" if made.recurrent else ""),
        ]
        if self.confirmed:
            lines.append(f"  {self.confirmed} recorded actions are those of the policy")
        return "\n".join([*lines, f"  sha256 {made.file_sha256}"])


def export(policy: Path, out: Path, options: ExportOptions) -> Exported:
    """Write the policy in the zip `policy` to the model file `out`, which must not exist.

    `out` is written only if the file can be used, its decisions match those of torch, and nothing recorded in the
    training contradicts the options.

    Raises:
        ExportRefused: the policy cannot be exported, an option is invalid, or a package is missing.
        ModelRefused: the service would refuse the resulting file.
        FeaturesRefused: `options.features` names a module that cannot be used.
    """
    require_new(out)
    _require_packages()
    require_valid(options)
    # Imported on demand, because they import torch, which serving and checking do not need.
    from ..adapters.onnx.graph import build_model  # noqa: PLC0415
    from ..adapters.stable_baselines.archive import read_zip  # noqa: PLC0415
    from ..adapters.stable_baselines.policy import build_policy, spaces_of  # noqa: PLC0415
    from ..adapters.stable_baselines.reference import TorchReference, one_thread  # noqa: PLC0415
    from ..adapters.stable_baselines.statistics import normalisation_of, read_statistics  # noqa: PLC0415
    from ..adapters.stable_baselines.weights import weights_of  # noqa: PLC0415

    saved = read_zip(policy, options.trust)
    spaces = spaces_of(saved)
    observed = require_observed(policy, spaces.observation.shape, spaces.branches, options)
    branch, actions = require_branch(policy, spaces.branches, options)
    source = build_policy(saved, spaces, branch)
    statistics = None if options.vecnormalize is None else read_statistics(options.vecnormalize)
    normalisation = None
    if statistics is not None and options.vecnormalize is not None:
        normalisation = normalisation_of(options.vecnormalize, statistics, spaces.observed, observed.declared.stack)
    recording = recording_of(policy, source, observed.features, normalisation, options)
    weights = weights_of(policy, source, normalisation)
    metadata = _metadata(policy, source, observed, actions, normalisation, options)
    metadata = replace(metadata, distributions=distributions_of(observed.declared, recording.observations))
    if options.version is None:
        # Hash of the whole file, because metadata such as the reset rule affects decisions as weights do.
        content_hash = hashlib.sha256(build_model(weights, metadata.to_properties())).hexdigest()
        metadata = replace(metadata, version=content_hash[:12])
    reference = TorchReference(source, statistics)
    with one_thread():
        confirmed = confirmed_actions(policy, reference, recording, branch, spaces.branches, options)
        with new_file(out, build_model(weights, metadata.to_properties())) as written:
            exported = _loaded(written, out, observed)
            candidate = _candidate(written, exported)
            sampler = Sampler(observed.features, normalisation, _price(observed.features, normalisation, recording))
            parity = compare(candidate, reference, sampler, recording)
            if not parity.holds:
                step = compare(candidate, reference, sampler, recording, carried=False)
                raise ExportRefused(f"{policy}: {_difference(parity, step)}; {out} is not written")
    return Exported(out, exported.specification, parity, confirmed)


def _require_packages() -> None:
    if missing := [package for module, package in _PACKAGES.items() if find_spec(module) is None]:
        raise ExportRefused(
            f"to export takes {', '.join(missing)}, which serving does not: `make setup-train` installs it, as does "
            "the extra `train` of this package"
        )


def _metadata(
    policy: Path,
    source: TrainedPolicy,
    observed: TrainedFeatures,
    actions: tuple[Action, ...],
    normalisation: Normalisation | None,
    options: ExportOptions,
) -> Metadata:
    return Metadata(
        name=options.name or policy.stem,
        version=options.version or "-",
        type=source.kind.type,
        output=source.kind.output,
        reset=options.reset if source.kind.recurrent or observed.declared.stack > 1 else ResetRule.NONE,
        normalisation=_normalisation_text(normalisation),
        calibration=KIND_NONE,
        training_range=options.training_range,
        git_revision=options.git_revision,
        seed=None if source.seed is None else str(source.seed),
        actions=actions,
        features=observed.declared,
        interval=options.interval,
    )


def _loaded(written: Path, out: Path, observed: TrainedFeatures) -> OnnxPolicy:
    """Load the policy in the file `written`, which will be renamed to `out`."""
    own = observed.features if isinstance(observed.features, PythonFeatures) else None
    try:
        return OnnxPolicy(written, own=own)
    except ModelRefused as refused:
        raise ModelRefused(out, refused.reason) from refused


def _candidate(written: Path, exported: OnnxPolicy) -> Candidate:
    """Return the exported policy, with the values that its graph gives the actions, if it does."""
    specification = exported.specification
    if specification.output is not OutputKind.ACTION_VALUES:
        return Candidate(exported, specification.actions)
    session = load_model(written).session
    output, observation = specification.outputs[0].name, specification.inputs[0].name

    def values(observations: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        found: npt.NDArray[np.float32] = session.run([output], {observation: observations})[0]
        return found

    return Candidate(exported, specification.actions, values)


def _price(features: Features, normalisation: Normalisation | None, recording: Recording) -> float:
    """Return a price of the training, for policies that observe raw bars."""
    if not isinstance(features, RawBars) or "close" not in features.names:
        return 100.0
    closes = slice(features.names.index("close"), None, len(features.names))
    if len(recording.observations):
        return float(recording.observations[:, closes].mean())
    return 100.0 if normalisation is None else float(normalisation.mean[closes].mean())


def _difference(run: Parity, step: Parity) -> str:
    """Explain missing parity over a run, given the parity of single steps from equal states."""
    if step.holds:
        difference = max(run.output_difference, run.state_difference)
        return (
            f"each step agrees with torch to {step.state_difference:.0e}, but its recurrence magnifies rounding to "
            f"{difference:.0e} over a run, so no two machines would agree on its decisions; train it with smaller "
            "weights"
        )
    return (
        f"decides differently in ONNX and in torch: outputs differ by up to {run.output_difference:.1e} "
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
