"""Geometry of a chart: scales, ticks and paths in the units of its view box. The template writes them as SVG."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from ...domain.performance.texts import number
from ...domain.values import dataclass

LEFT, RIGHT, TOP, BOTTOM = 52.0, 10.0, 10.0, 24.0
"""Margins around the plot, for the labels of the axes."""


@dataclass(frozen=True, slots=True)
class ChartSize:
    """Width and height of a view box."""

    width: float
    height: float


WIDE, NARROW, SMALL = ChartSize(1120, 300), ChartSize(360, 240), ChartSize(360, 240)
"""Of a chart over the width of the page, of the same on a phone, and of a chart among others."""


@dataclass(frozen=True, slots=True)
class AxisScale:
    """Maps values from `low`..`high` to coordinates from `start`..`stop`."""

    low: float
    high: float
    start: float
    stop: float

    def __call__(self, value: float) -> float:
        """Return the coordinate of a value."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.stop - self.start)


@dataclass(frozen=True, slots=True)
class AxisTick:
    """A label of an axis and its coordinate."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class DrawnPath:
    """A path. kind: its class in the style sheet. title: shown on hover."""

    d: str
    kind: str
    title: str = ""


@dataclass(frozen=True, slots=True)
class DrawnText:
    """A text at a coordinate. anchor: start, middle or end."""

    x: float
    y: float
    text: str
    anchor: str = "middle"


@dataclass(frozen=True, slots=True)
class ChartDrawing:
    """A chart. description: what it shows, for those who do not see it. legend: class and label of each series."""

    size: ChartSize
    description: str
    x_ticks: tuple[AxisTick, ...] = ()
    y_ticks: tuple[AxisTick, ...] = ()
    paths: tuple[DrawnPath, ...] = ()
    texts: tuple[DrawnText, ...] = ()
    x_name: str = ""
    y_name: str = ""
    left: float = LEFT

    @property
    def plot(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of the plot."""
        return self.left, TOP, self.size.width - RIGHT, self.size.height - BOTTOM


def nice_values(low: float, high: float, count: int) -> list[float]:
    """Return about `count` round values within low..high, at steps of 1, 2 or 5 times a power of ten."""
    rough = (high - low) / max(count, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1.0, 2.0, 5.0, 10.0) if factor * power >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [at * step for at in range(first, math.floor(high / step + 1e-9) + 1)]


def padded(values: Iterable[float], *, zero: bool = False) -> tuple[float, float]:
    """Return bounds of values with some space, with 0 among them if `zero`; never equal."""
    found = [*values, *([0.0] if zero else [])] or [0.0, 1.0]
    low, high = min(found), max(found)
    if low == high:
        return low - 1.0, high + 1.0
    space = 0.06 * (high - low)
    return (low if zero and low == 0.0 else low - space), (high if zero and high == 0.0 else high + space)


def y_scale(size: ChartSize, bounds: tuple[float, float]) -> AxisScale:
    """Return the vertical scale of a chart."""
    return AxisScale(*bounds, size.height - BOTTOM, TOP)


def x_scale(size: ChartSize, bounds: tuple[float, float], left: float = LEFT) -> AxisScale:
    """Return the horizontal scale of a chart."""
    return AxisScale(*bounds, left, size.width - RIGHT)


def value_ticks(scale: AxisScale, count: int, unit: str = "") -> tuple[AxisTick, ...]:
    """Return ticks at round values of a scale, with as many decimals as tell them apart."""
    values = nice_values(scale.low, scale.high, count)
    step = values[1] - values[0] if len(values) > 1 else 1.0
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    return tuple(AxisTick(round(scale(value), 1), number(value, digits) + unit) for value in values)


def polyline(points: Sequence[tuple[float, float]]) -> str:
    """Return the path of a line through points, with one decimal."""
    return "M" + "L".join(f"{x:.1f},{y:.1f}" for x, y in points) if points else ""


def rectangle(x: float, y: float, width: float, height: float) -> str:
    """Return the path of a rectangle."""
    return f"M{x:.1f},{y:.1f}h{width:.1f}v{height:.1f}h{-width:.1f}z"


def dots(points: Iterable[tuple[float, float]]) -> str:
    """Return one path with a dot at each point, drawn as lines without length and with round ends."""
    return "".join(f"M{x:.1f},{y:.1f}h0" for x, y in points)
