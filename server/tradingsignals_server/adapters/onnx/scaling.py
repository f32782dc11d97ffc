"""The normalisation that a model file leaves to the service."""

from __future__ import annotations

import json

import numpy as np

from ...domain.features import Scaling
from .errors import Unfit
from .metadata import Metadata


def scaling_of(metadata: Metadata) -> Scaling | None:
    """Return the scaling of a normalisation of the kind "standard", None for another kind.

    It is (observation - mean) / sqrt(variance + epsilon), or / scale, clipped to +/- clip if there is one.

    Raises:
        Unfit: a number cannot be divided by.
    """
    entry = json.loads(metadata.normalisation)
    if entry["kind"] != "standard":
        return None
    mean = np.array(entry["mean"], dtype=np.float64)
    if "scale" in entry:
        scale = np.array(entry["scale"], dtype=np.float64)
    else:
        scale = np.sqrt(np.array(entry["variance"], dtype=np.float64) + (entry.get("epsilon") or 0.0))
    try:
        return Scaling(mean, scale) if entry.get("clip") is None else Scaling(mean, scale, float(entry["clip"]))
    except ValueError as error:
        raise Unfit(f"has {error} in tradingsignals.normalisation; give the numbers of the training") from error
