"""What a model file says of its observation: which features, in which order, computed from which bars."""

from __future__ import annotations

from dataclasses import dataclass

from ...domain.features import M5_V1
from ...domain.features.expression import InvalidFeature, parse
from ...domain.features.specification import BAR_COLUMNS, LONGEST_HISTORY
from ..python_features import PYTHON
from .entries import MAX_FEATURES, PREFIX, Entries, quoted
from .errors import Unfit

CATALOGUE = "catalogue"
"""Specification of a file that lists its features as expressions of the catalogue."""
BARS = "bars"
"""Specification of a file that takes raw bars."""
MAX_STACK = 256


@dataclass(frozen=True, slots=True)
class DeclaredFeatures:
    """The observation of a model.

    specification: "m5-v1", CATALOGUE, BARS, or PYTHON with module:attribute.
    expressions: expressions of the catalogue, in the order of the observation; empty for the other specifications.
    names: names of the features; for BARS the columns of a bar.
    lookback_bars: bars that the features are computed from; for BARS those in the observation.
    stack: frames in an observation, the oldest first.
    limit: bound of the absolute value of a feature, None without one.
    source_sha256: hash of the module of the user, in hexadecimal; None if it is not known.
    """

    specification: str = M5_V1.name
    expressions: tuple[str, ...] = ()
    names: tuple[str, ...] = M5_V1.names
    lookback_bars: int = M5_V1.lookback_bars
    stack: int = 1
    limit: float | None = M5_V1.limit
    source_sha256: str | None = None

    @property
    def size(self) -> int:
        """Numbers in an observation."""
        return len(self.names) * (self.lookback_bars if self.specification == BARS else self.stack)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Numbers in an observation, and in one frame or bar of it."""
        return tuple(dict.fromkeys((self.size, len(self.names))))

    @property
    def frames(self) -> tuple[int, int]:
        """The observation as frames or bars, the oldest first, of so many numbers each."""
        return self.size // len(self.names), len(self.names)


def read_features(entries: Entries, *, format_1: bool) -> DeclaredFeatures:
    """Parse what the metadata of a file says of its features.

    Raises:
        Unfit: it is incomplete, malformed, or not supported by this service.
    """
    specification = entries.line("feature_specification", 200)
    lookback = entries.whole("lookback_bars", M5_V1.lookback_bars, LONGEST_HISTORY)
    if specification == M5_V1.name:
        _require_m5_v1(entries, lookback)
        return DeclaredFeatures(stack=1 if format_1 else entries.whole("frame_stack", 1, MAX_STACK))
    if format_1:
        raise Unfit(
            f"was made for the features {quoted(specification)} and this service computes {M5_V1.name}; "
            "train it on those, or run the service that it was made for"
        )
    if specification == BARS:
        return DeclaredFeatures(BARS, names=BAR_COLUMNS, lookback_bars=lookback, limit=None)
    stack = entries.whole("frame_stack", 1, MAX_STACK)
    if specification.startswith(PYTHON):
        if stack != 1:
            raise Unfit(f"stacks {stack} frames of features of a module; give all frames by the module")
        names = _names(entries, "feature_names")
        return DeclaredFeatures(
            specification, (), names, lookback, limit=None, source_sha256=entries.text("feature_source_sha256")
        )
    if "features" not in entries:
        raise Unfit(
            f"was made for the features {quoted(specification)}, which this service does not know; list them in "
            f"{PREFIX}features as expressions of the catalogue, as `tradingsignals stamp FILE --features ...` does"
        )
    try:
        expressions = tuple(str(parse(text)) for text in _names(entries, "features"))
    except InvalidFeature as error:
        raise Unfit(f"has a feature that cannot be computed: {error}") from error
    return DeclaredFeatures(specification, expressions, expressions, lookback, stack, entries.limit(M5_V1.limit))


def _names(entries: Entries, key: str) -> tuple[str, ...]:
    if key not in entries:
        raise Unfit(f"lacks the metadata {PREFIX}{key}; set it, or write it with `tradingsignals stamp`")
    names = entries.strings(key)
    if not 1 <= len(names) <= MAX_FEATURES:
        raise Unfit(f"has {len(names)} names in {PREFIX}{key}; 1 to {MAX_FEATURES} are needed")
    return tuple(names)


def _require_m5_v1(entries: Entries, lookback: int) -> None:
    names = entries.strings("feature_names") if "feature_names" in entries else M5_V1.names
    if len(names) != len(M5_V1.names):
        raise Unfit(f"names {len(names)} features and {M5_V1.name} has {len(M5_V1.names)}; train it on those")
    for index, (name, known) in enumerate(zip(names, M5_V1.names, strict=True)):
        if name != known:
            raise Unfit(
                f"has {quoted(name)} as feature {index} where {M5_V1.name} has {known}; "
                f"train it on the features in the order of {M5_V1.name}"
            )
    if lookback != M5_V1.lookback_bars:
        raise Unfit(
            f"needs features of the last {lookback} bars and {M5_V1.name} is computed "
            f"from {M5_V1.lookback_bars}; train it on those"
        )
