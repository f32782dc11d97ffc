"""What was recorded in the training of a policy: compared with the options of its export, and with its decisions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..adapters.onnx.errors import ExportRefused
from ..domain.features import Features
from . import evidence
from .arrays import array_of, observations_of
from .export_options import ExportOptions
from .parity import Recording, ReferencePolicy, actions_of

if TYPE_CHECKING:
    from ..adapters.onnx.graph import Normalisation
    from ..adapters.stable_baselines.policy import TrainedPolicy

Float32 = npt.NDArray[np.float32]


def recording_of(
    policy: Path,
    source: TrainedPolicy,
    features: Features,
    normalisation: Normalisation | None,
    options: ExportOptions,
) -> Recording:
    """Return the raw observations of the training: those of `--observations`, then those in the zip.

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
    rows, begins = np.empty((0, features.size), np.float32), np.empty(0, np.bool_)
    if options.observations is not None:
        rows = observations_of(options.observations, features.size)
        begins = _episode_starts(options.episode_starts, len(rows))
        _require_features(options.observations, features, rows)
    given = len(rows)
    _require_features(policy, features, source.observations)
    if normalisation is not None and (
        reason := evidence.against_statistics(features, normalisation.mean, normalisation.variance)
    ):
        raise ExportRefused(f"{options.vecnormalize}: are not statistics of the features {features.name}: {reason}")
    if source.observations.shape[1] == features.size:
        # Those in the zip are of one moment in several environments, so each begins anew.
        rows = np.concatenate([rows, source.observations])
        begins = np.concatenate([begins, np.ones(len(source.observations), np.bool_)])
    return Recording(rows, begins, given)


def confirmed_actions(
    policy: Path,
    reference: ReferencePolicy,
    recording: Recording,
    branch: int,
    branches: Sequence[int],
    options: ExportOptions,
) -> int:
    """Return how many actions of `--actions-taken` are those of the policy; 0 without the option.

    Raises:
        ExportRefused: one is another, or there are not as many as observations.
    """
    if options.actions_taken is None:
        return 0
    taken = _actions_taken(options.actions_taken, branch, len(branches))
    if len(taken) > recording.given:
        raise ExportRefused(
            f"{options.actions_taken}: has {len(taken)} actions for {recording.given} observations of "
            f"{options.observations}"
        )
    part = Recording(recording.observations[: len(taken)], recording.begins[: len(taken)])
    decided = actions_of(reference, part)
    other = np.flatnonzero((decided >= 0) & (decided != taken))
    if len(other):
        row = int(other[0])
        raise ExportRefused(
            f"{policy}: decides otherwise than recorded at {len(other)} of {len(taken)} observations, first at row "
            f"{row}: {taken[row]} was recorded and {decided[row]} is its decision; record raw observations and "
            "predict(..., deterministic=True) from the first step of an episode on, with --episode-starts if there is "
            "more than one episode, or correct --vecnormalize"
        )
    return len(taken)


def _require_features(path: Path, features: Features, rows: Float32) -> None:
    if rows.shape[1] not in {features.size, len(features.names)}:
        raise ExportRefused(
            f"{path}: stores observations of {rows.shape[1]} numbers, where {features.name} has {features.size}"
        )
    if (reason := evidence.against_observations(features, rows)) is not None:
        raise ExportRefused(f"{path}: was not recorded from the features {features.name}: it has {reason}")


def _episode_starts(path: Path | None, count: int) -> npt.NDArray[np.bool_]:
    if path is None:
        begins = np.zeros(count, np.bool_)
        begins[:1] = True
        return begins
    flags = array_of(path).reshape(-1)
    if len(flags) != count or flags.dtype.kind not in "biuf" or not np.isin(flags, (0, 1)).all():
        raise ExportRefused(f"{path}: true or false for each of the {count} observations is needed")
    return flags.astype(np.bool_)


def _actions_taken(path: Path, branch: int, branches: int) -> npt.NDArray[np.int64]:
    taken = array_of(path)
    columns = taken.reshape(len(taken), -1) if taken.ndim and len(taken) else taken.reshape(0, branches)
    if columns.shape[1] != branches or taken.dtype.kind not in "iu":
        raise ExportRefused(f"{path}: whole numbers of shape (n, {branches}) are needed, as predict() returns them")
    return columns[:, branch].astype(np.int64)
