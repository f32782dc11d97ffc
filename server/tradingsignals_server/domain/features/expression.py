"""A feature by its expression, such as "rsi(14)": a kind of the catalogue and its parameters."""

from __future__ import annotations

import re
from difflib import get_close_matches
from functools import cached_property

from .catalogue import CATALOGUE
from .context import FeatureContext
from .kind import FeatureKind, Parameter

_EXPRESSION = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_]*)\s*(?:\(([^()]*)\))?\s*")
LONGEST = 100


class InvalidFeature(ValueError):
    """An expression that names no feature. The message says what is wrong with it, and what to write."""


class Feature:
    """A kind of the catalogue with its parameters.

    Raises:
        InvalidFeature: on construction, if there are too many parameters, or one is out of its bounds.
    """

    def __init__(self, kind: FeatureKind, *parameters: float) -> None:
        if len(parameters) > len(kind.parameters):
            raise InvalidFeature(
                f"{kind.name} has {_count(kind)}, and {len(parameters)} are given; write {_form(kind)}"
            )
        defaults = tuple(parameter.default for parameter in kind.parameters[len(parameters) :])
        self.kind = kind
        self.parameters: tuple[float, ...] = tuple(
            _checked(kind, declared, value)
            for declared, value in zip(kind.parameters, (*parameters, *defaults), strict=True)
        )
        if kind.increasing and self.parameters[0] >= self.parameters[1]:
            first, second = kind.parameters[:2]
            raise InvalidFeature(f"{self}: {first.name} must be below {second.name}")

    @cached_property
    def warm_bars(self) -> int:
        """Number of bars from which on it is defined, if prices move."""
        return self.kind.warm(*self.parameters)

    def value(self, context: FeatureContext) -> float | None:
        """Return its value, None while it is not defined."""
        return self.kind.value(context, *self.parameters)

    def __str__(self) -> str:
        if not self.parameters:
            return self.kind.name
        return f"{self.kind.name}({','.join(map(_text, self.parameters))})"

    def __repr__(self) -> str:
        return f"Feature({self})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Feature) and (self.kind, self.parameters) == (other.kind, other.parameters)

    def __hash__(self) -> int:
        return hash((self.kind.name, self.parameters))


def parse(text: str) -> Feature:
    """Return the feature of an expression. Parameters that it leaves out have their defaults; spaces do not count.

    Raises:
        InvalidFeature: it is not an expression, names no kind of the catalogue, or has a wrong parameter.
    """
    match = _EXPRESSION.fullmatch(text) if len(text) <= LONGEST else None
    if match is None:
        raise InvalidFeature(f"{text[:LONGEST]!r} is not a feature; write a name with parameters, such as rsi(14)")
    name, inside = match[1], match[2]
    kind = CATALOGUE.get(name)
    if kind is None:
        near = get_close_matches(name, CATALOGUE, n=1, cutoff=0.5)
        advice = f"did you mean {_form(CATALOGUE[near[0]])}? " if near else ""
        raise InvalidFeature(f"no feature is named {name}; {advice}`tradingsignals features` lists all")
    given = [part.strip() for part in inside.split(",")] if inside and inside.strip() else []
    try:
        parameters = [float(part) for part in given]
    except ValueError:
        raise InvalidFeature(f"{text.strip()!r} has a parameter that is not a number; write {_form(kind)}") from None
    return Feature(kind, *parameters)


def _checked(kind: FeatureKind, declared: Parameter, value: float) -> float:
    if not declared.lowest <= value <= declared.highest or (declared.whole and value != int(value)):
        number = "a whole number" if declared.whole else "a number"
        raise InvalidFeature(
            f"{kind.name} has {declared.name}={value:g}; {number} from {declared.lowest:g} to {declared.highest:g} is "
            "needed"
        )
    return int(value) if declared.whole else float(value)


def _text(value: float) -> str:
    return repr(value).removesuffix(".0")


def _count(kind: FeatureKind) -> str:
    count = len(kind.parameters)
    return f"{count or 'no'} parameter{'' if count == 1 else 's'}"


def _form(kind: FeatureKind) -> str:
    return str(Feature(kind))
