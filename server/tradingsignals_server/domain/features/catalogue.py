"""All kinds of features that a model file can name. docs/features.md is generated from it."""

from __future__ import annotations

from collections.abc import Mapping

from .averages import AVERAGES
from .calendar_time import TIME
from .kind import FeatureGroup, FeatureKind, kinds_by_name
from .momentum import MOMENTUM
from .position import POSITION
from .raw import RAW
from .returns import RETURNS
from .variation import BANDS, CANDLE, VOLATILITY
from .volumes import VOLUME

GROUPS: tuple[FeatureGroup, ...] = (
    RETURNS,
    MOMENTUM,
    AVERAGES,
    VOLATILITY,
    BANDS,
    CANDLE,
    VOLUME,
    TIME,
    POSITION,
    RAW,
)
CATALOGUE: Mapping[str, FeatureKind] = kinds_by_name(GROUPS)
