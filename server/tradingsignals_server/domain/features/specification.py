"""What a policy observes: a list of features of the catalogue, or raw bars, in a fixed order."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ..window import LOOKBACK_BARS, Window
from .context import FeatureContext
from .expression import Feature, parse

Observation = npt.NDArray[np.float32]

NO_LIMIT = float(np.finfo(np.float32).max)
"""Largest absolute value of a number of an observation that has no limit of its own."""
LONGEST_HISTORY = 5000
"""Bars that an observation may rest on at most: they are kept in memory for each symbol."""
LARGEST_SIZE = 100_000
"""Numbers that an observation may have at most."""
BAR_COLUMNS = ("open", "high", "low", "close", "volume")


class FeaturesFailed(Exception):
    """The features of a decision cannot be computed. The message is a sentence that says why."""


class Features(Protocol):
    """Computes the observations of a policy."""

    @property
    def name(self) -> str:
        """Name of the specification, such as "m5-v1"."""
        ...

    @property
    def names(self) -> tuple[str, ...]:
        """Name of each number of one frame, in order."""
        ...

    @property
    def size(self) -> int:
        """Length of an observation."""
        ...

    @property
    def lookback_bars(self) -> int:
        """Bars that one frame is computed from."""
        ...

    @property
    def history_bars(self) -> int:
        """Bars that an observation is computed from: more than `lookback_bars` if it has several frames."""
        ...

    @property
    def warm_bars(self) -> int:
        """Bars that a symbol must have for a decision; at most `history_bars`."""
        ...

    @property
    def uses_position(self) -> bool:
        """Whether an observation depends on the open position."""
        ...

    def observe(self, context: FeatureContext) -> Observation:
        """Return the observation at the newest bar of a window of up to `history_bars` bars: float32, shape (size,).

        It is a pure function of the context, finite whatever the prices.

        Raises:
            FeaturesFailed: it cannot be computed.
        """
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Scaling:
    """(observation - mean) / scale in float64, then clipped to +/- `clip`, as VecNormalize does.

    mean, scale: float64, of the length of one frame, or of the whole observation. scale > 0.

    Raises:
        ValueError: on construction, if they differ in shape, are not finite, or a scale is not above 0.
    """

    mean: npt.NDArray[np.float64]
    scale: npt.NDArray[np.float64]
    clip: float = NO_LIMIT

    def __post_init__(self) -> None:
        if self.mean.shape != self.scale.shape or self.mean.ndim != 1:
            raise ValueError(f"a mean of shape {self.mean.shape} and a scale of shape {self.scale.shape}")
        if not (np.isfinite(self.mean).all() and np.isfinite(self.scale).all() and (self.scale > 0.0).all()):
            raise ValueError("a mean or a scale is not finite, or a scale is not above 0")
        if not 0.0 < self.clip <= NO_LIMIT:
            raise ValueError(f"a clip of {self.clip:g} is not above 0")

    def __len__(self) -> int:
        return len(self.mean)

    def of(self, observation: Observation) -> Observation:
        """Return an observation scaled."""
        scaled = np.clip((observation - self.mean) / self.scale, -self.clip, self.clip)
        return scaled.astype(np.float32)


class CatalogueFeatures:
    """Features of the catalogue in the order of a model.

    Args:
        name: of the specification. A change to a feature or to the order requires a new name.
        features: at least one.
        names: of the features; their expressions if None.
        lookback_bars: bars that a frame is computed from.
        stack: number of frames, the oldest first: the features at each of the newest `stack` bars.
        stack_in_session: frames of bars before the session are zeros, as after the reset of an environment.
        limit: bound of the absolute value of each feature, so that one wrong price cannot dominate; None for none. It
            does not apply to prices, volumes and counts.
        scaling: applied to each frame after the limit, or, if it has their length, to all frames together; or None.

    Raises:
        ValueError: on construction, with a message that says what does not fit.
    """

    def __init__(
        self,
        name: str,
        features: Sequence[Feature],
        *,
        names: Sequence[str] | None = None,
        lookback_bars: int = LOOKBACK_BARS,
        stack: int = 1,
        stack_in_session: bool = False,
        limit: float | None = 10.0,
        scaling: Scaling | None = None,
    ) -> None:
        self.name = name
        self.features = tuple(features)
        self.names = tuple(map(str, features)) if names is None else tuple(names)
        self.lookback_bars = lookback_bars
        self.stack = stack
        self.limit = NO_LIMIT if limit is None else limit
        self.scaling = scaling
        self.size = len(self.features) * stack
        self.uses_position = any(feature.kind.needs_position for feature in features)
        self._stack_in_session = stack_in_session
        self._calls = tuple(
            (kind.value, feature.parameters, NO_LIMIT if kind.raw else self.limit, kind.neutral)
            for feature in features
            for kind in (feature.kind,)
        )
        self._check()
        self.history_bars = lookback_bars + stack - 1
        self.warm_bars = max(feature.warm_bars for feature in features) + (0 if stack_in_session else stack - 1)

    def observe(self, context: FeatureContext) -> Observation:
        """See Features."""
        if self.stack == 1:
            found = self._frame(context)
        else:
            frames = [self._frame_before(context, bars) for bars in range(self.stack - 1, -1, -1)]
            found = np.concatenate(frames)
        if self.scaling is not None and len(self.scaling) == self.size:
            return self.scaling.of(found)
        return found

    def _frame(self, context: FeatureContext) -> Observation:
        numbers = [
            v if (v := value(context, *given)) is not None and -limit <= v <= limit else _limited(v, limit, neutral)
            for value, given, limit, neutral in self._calls
        ]
        found = np.array(numbers, dtype=np.float32)
        if self.scaling is not None and len(self.scaling) != self.size:
            return self.scaling.of(found)
        return found

    def _frame_before(self, context: FeatureContext, bars: int) -> Observation:
        """Return the frame of the bar `bars` bars before the newest; zeros if there is none, or not in the session."""
        if bars == 0:
            return self._frame(context.narrowed(self.lookback_bars))
        earlier = None if bars >= context.bars else _earlier(context, bars, self.lookback_bars)
        if earlier is None or (self._stack_in_session and not _same_session(context, earlier)):
            return np.zeros(len(self.features), dtype=np.float32)
        return self._frame(earlier)

    def _check(self) -> None:
        if not self.features:
            raise ValueError("names no feature")
        if len(self.names) != len(self.features):
            raise ValueError(f"has {len(self.names)} names for {len(self.features)} features")
        if not (self.lookback_bars >= 1 and self.stack >= 1 and self.lookback_bars + self.stack - 1 <= LONGEST_HISTORY):
            raise ValueError(
                f"needs {self.lookback_bars} bars and {self.stack} frames; 1 to {LONGEST_HISTORY} bars are possible"
            )
        if self.size > LARGEST_SIZE:
            raise ValueError(f"has {self.size} numbers, and {LARGEST_SIZE} are possible")
        for feature in self.features:
            if feature.warm_bars > self.lookback_bars:
                raise ValueError(
                    f"has {feature}, which needs {feature.warm_bars} bars, and a lookback of {self.lookback_bars}"
                )
        if not 0.0 < self.limit <= NO_LIMIT:
            raise ValueError(f"has a limit of {self.limit:g}; a number above 0 is needed")
        if self.uses_position and self.stack > 1:
            raise ValueError("has features of the position and several frames; of earlier bars it is not known")
        if self.scaling is not None and len(self.scaling) not in {len(self.features), self.size}:
            raise ValueError(f"has {len(self.features)} features and a scaling of {len(self.scaling)} numbers")


class RawBars:
    """The newest bars themselves: a graph computes its own features from them, or decides at once.

    An observation has the `columns` of each of the newest `lookback_bars` bars, the oldest bar first. Prices are in
    quote currency; a decision is made only with all of them, except at a quote, where those missing are zeros.

    Raises:
        ValueError: on construction, for no or too many bars, or an unknown column.
    """

    name = "bars"
    uses_position = False

    def __init__(self, lookback_bars: int, columns: Sequence[str] = BAR_COLUMNS) -> None:
        if unknown := [column for column in columns if column not in BAR_COLUMNS]:
            raise ValueError(f"has a column {unknown[0]!r}; the columns are {', '.join(BAR_COLUMNS)}")
        if not columns or not 1 <= lookback_bars <= LONGEST_HISTORY:
            raise ValueError(
                f"needs {len(columns)} columns of {lookback_bars} bars; 1 to {LONGEST_HISTORY} are possible"
            )
        self.columns = tuple(columns)
        self.names = self.columns
        self.lookback_bars = self.history_bars = self.warm_bars = lookback_bars
        self.size = lookback_bars * len(columns)
        self._rows = [BAR_COLUMNS.index(column) for column in columns]

    def observe(self, context: FeatureContext) -> Observation:
        """See Features."""
        found = np.zeros((self.lookback_bars, len(self.columns)), dtype=np.float32)
        found[-context.bars :] = np.minimum(context.window.rows[self._rows], NO_LIMIT).T
        return found.reshape(-1)


def _limited(value: float | None, limit: float, neutral: float) -> float:
    return neutral if value is None or math.isnan(value) else math.copysign(limit, value)


def _earlier(context: FeatureContext, before: int, bars: int) -> FeatureContext:
    """Return the context of the bar `before` bars before the newest, from up to `bars` bars."""
    rows = context.window.rows[:, max(0, context.bars - before - bars) : context.bars - before]
    time = datetime.fromtimestamp(rows[5, -1], UTC)
    window = Window(np.ascontiguousarray(rows), time)
    return FeatureContext(window, context.calendar, context.calendar.progress(time))


def _same_session(context: FeatureContext, earlier: FeatureContext) -> bool:
    now, then = context.time, earlier.time
    if now is None or then is None:
        return False
    return context.calendar.session_of(now) == context.calendar.session_of(then)


M5_V1 = CatalogueFeatures(
    "m5-v1",
    [
        parse(text)
        for text in (
            "return(1)",
            "return(3)",
            "return(6)",
            "return(12)",
            "rsi(14)",
            "macd(12,26,9)",
            "macd_signal(12,26,9)",
            "macd_histogram(12,26,9)",
            "bb_position(20,2)",
            "bb_width(20,2)",
            "ema_gap(20)",
            "ema_gap(50)",
            "ema_spread(20,50)",
            "atr_pct(14)",
            "volatility(20)",
            "session_progress",
        )
    ],
    names=(
        "return_1",
        "return_3",
        "return_6",
        "return_12",
        "rsi",
        "macd",
        "macd_signal",
        "macd_histogram",
        "bb_position",
        "bb_width",
        "ema_20_gap",
        "ema_50_gap",
        "ema_spread",
        "atr",
        "volatility",
        "session_progress",
    ),
)
"""The features of the shipped policy, and of every file of format 1."""
