"""Features: what a policy observes of the newest bars, of the session, and of the open position.

`catalogue` has the kinds, `expression` a kind with its parameters, `specification` the list of a policy, and `context`
what all are computed from.
"""

from .context import FeatureContext, HeldPosition
from .specification import M5_V1, CatalogueFeatures, Features, FeaturesFailed, Observation, RawBars, Scaling

__all__ = [
    "M5_V1",
    "CatalogueFeatures",
    "FeatureContext",
    "Features",
    "FeaturesFailed",
    "HeldPosition",
    "Observation",
    "RawBars",
    "Scaling",
]
