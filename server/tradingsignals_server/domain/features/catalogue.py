"""All kinds of features that a model file can name."""

from __future__ import annotations

from collections.abc import Mapping

from .calendar_time import TIME
from .kind import FeatureGroup, FeatureKind, kinds_by_name
from .trend import AVERAGES, MOMENTUM, RETURNS
from .variation import BANDS, VOLATILITY

GROUPS: tuple[FeatureGroup, ...] = (RETURNS, MOMENTUM, AVERAGES, VOLATILITY, BANDS, TIME)
CATALOGUE: Mapping[str, FeatureKind] = kinds_by_name(GROUPS)
