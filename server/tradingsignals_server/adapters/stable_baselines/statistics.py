"""The statistics of VecNormalize, by which observations were normalised in training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from stable_baselines3.common.vec_env import VecNormalize

from ..onnx.errors import ExportRefused
from ..onnx.graph import Normalisation
from .archive import MAX_DATA_BYTES
from .unpickling import Forbidden, unpickle

Float32 = npt.NDArray[np.float32]


def read_statistics(path: Path) -> VecNormalize:
    """Read the statistics that VecNormalize.save() wrote.

    Raises:
        ExportRefused: the file is not one of these.
    """
    try:
        with path.open("rb") as file:
            statistics = unpickle(file.read(MAX_DATA_BYTES))
    except OSError as error:
        raise ExportRefused(f"{path}: cannot be read ({error.strerror})") from error
    except Forbidden as error:
        raise ExportRefused(
            f"{path}: contains {error}, which the statistics of VecNormalize do not; it is not loaded"
        ) from error
    except Exception as error:
        # The unpickler can raise nearly any exception for a file that is not a pickle.
        raise ExportRefused(f"{path}: is not a file that VecNormalize.save() wrote") from error
    if not isinstance(statistics, VecNormalize):
        raise ExportRefused(f"{path}: contains a {type(statistics).__name__} and not the statistics of VecNormalize")
    return statistics


def normalisation_of(path: Path, statistics: VecNormalize, observed: int, frames: int) -> Normalisation | None:
    """Return the normalisation of observations, or None if VecNormalize does not normalise them.

    Args:
        path: file of the statistics, for error messages.
        statistics: those of the whole observation, or of one frame if normalised frames were stacked.
        observed: size of the observation.
        frames: number of frames in the observation.

    Raises:
        ExportRefused: the statistics are of observations of another size.
    """
    if not statistics.norm_obs:
        return None
    mean = getattr(statistics.obs_rms, "mean", None)
    if not isinstance(mean, np.ndarray) or mean.size not in {observed, observed // frames}:
        shape = None if mean is None else mean.shape
        frame = f", or ({observed // frames},) of one frame," if frames > 1 else ""
        raise ExportRefused(f"{path}: normalises observations of shape {shape}; ({observed},){frame} is needed")
    return Normalisation(
        mean=np.asarray(mean, dtype=np.float64).reshape(-1),
        variance=np.asarray(statistics.obs_rms.var, dtype=np.float64).reshape(-1),
        epsilon=float(statistics.epsilon),
        clip=float(statistics.clip_obs),
        frames=observed // mean.size,
    )


def normalised(statistics: VecNormalize, observations: Float32) -> Float32:
    """Return what VecNormalize makes of raw observations, shape (n, size); frame by frame if it has one frame's size.

    Absent frames of an environment that stacks normalised frames are zeros, and stay so.
    """
    shape = np.shape(statistics.obs_rms.mean)
    frames = observations.reshape(len(observations), -1, int(np.prod(shape)))
    made = statistics.normalize_obs(frames.reshape(*frames.shape[:2], *shape)).reshape(frames.shape)
    if frames.shape[1] > 1:
        made = np.where(frames.any(axis=2, keepdims=True), made, np.float32(0.0))
    flat: Float32 = made.astype(np.float32).reshape(observations.shape)
    return flat
