"""The declaration of a feature: its name, parameters, formula, scale, bounds and function."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

Value = Callable[..., float | None]
"""(context, *parameters) -> the value, None while it is not defined."""
WarmBars = Callable[..., int]
"""(*parameters) -> the number of bars from which on the value is defined."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a kind: a number from `lowest` to `highest`, whole unless `whole` is False."""

    name: str
    default: float
    lowest: float
    highest: float
    whole: bool = True


WIDTH = Parameter("width", 2.0, 0.1, 10.0, whole=False)
"""Half the width of bands, in standard deviations or ranges."""


def bars_parameter(default: int, *, name: str = "bars", lowest: int = 2, highest: int = 1000) -> Parameter:
    """Return a parameter that is a number of bars."""
    return Parameter(name, default, lowest, highest)


@dataclass(frozen=True, slots=True)
class FeatureKind:
    """One kind of feature. It is declared once, and everything else that is said of it is derived from this.

    meaning, formula: for the reader, without a full stop; c is the close, h the high, l the low, o the open, v the
        volume, all of the newest bar, and c[n] the close n bars before.
    unit: unit or scale of the value.
    warm: number of bars from which on the value is defined if prices move, as a function of the parameters.
    lowest, highest: bounds of the value before the limit of a specification.
    neutral: value that stands for one that is not defined.
    source: where the formula is from; "" if it says all.
    needs_volume, needs_position: whether it rests on the volumes, or on the open position.
    raw: whether it is a price, a volume or a count, to which the limit of a specification does not apply.
    increasing: whether the second parameter must be larger than the first.
    """

    name: str
    meaning: str
    formula: str
    unit: str
    value: Value
    warm: WarmBars
    parameters: tuple[Parameter, ...] = ()
    lowest: float = -math.inf
    highest: float = math.inf
    neutral: float = 0.0
    source: str = ""
    needs_volume: bool = False
    needs_position: bool = False
    raw: bool = False
    increasing: bool = False


@dataclass(frozen=True, slots=True)
class FeatureGroup:
    """Kinds that the catalogue lists together."""

    title: str
    kinds: list[FeatureKind] = field(default_factory=list)

    def add(
        self,
        name: str,
        meaning: str,
        formula: str,
        unit: str,
        *parameters: Parameter,
        warm: WarmBars,
        bounds: tuple[float, float] = (-math.inf, math.inf),
        source: str = "",
        needs_volume: bool = False,
        needs_position: bool = False,
        raw: bool = False,
        increasing: bool = False,
        neutral: float = 0.0,
    ) -> Callable[[Value], Value]:
        """Return a decorator that declares the function of a kind; the arguments are those of FeatureKind."""

        def declare(value: Value) -> Value:
            self.kinds.append(
                FeatureKind(
                    name=name,
                    meaning=meaning,
                    formula=formula,
                    unit=unit,
                    value=value,
                    warm=warm,
                    parameters=parameters,
                    lowest=bounds[0],
                    highest=bounds[1],
                    neutral=neutral,
                    source=source,
                    needs_volume=needs_volume,
                    needs_position=needs_position,
                    raw=raw,
                    increasing=increasing,
                )
            )
            return value

        return declare


def kinds_by_name(groups: Sequence[FeatureGroup]) -> dict[str, FeatureKind]:
    """Return the kinds of all groups, in their order."""
    return {kind.name: kind for group in groups for kind in group.kinds}
