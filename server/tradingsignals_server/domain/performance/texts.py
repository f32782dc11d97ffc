"""Figures as text, for people: a value in its unit, and its interval. Terminal and report show the same."""

from __future__ import annotations

from .definitions import DEFINITIONS, FigureUnit
from .figures import Figure

UNDEFINED = "\N{EN DASH}"

_DIGITS = {FigureUnit.COUNT: 0, FigureUnit.DAYS: 1, FigureUnit.PROBABILITY: 3, FigureUnit.RATIO: 3}
_SMALL = {"expectancy_pct": 4, "average_cost_pct": 4}
"""Decimals of figures that are often below 0.01."""

_SUFFIXES = {FigureUnit.PERCENT: "%", FigureUnit.R: " R", FigureUnit.DAYS: " days"}


def number(value: float | None, digits: int = 2, *, sign: bool = False) -> str:
    """Return a number with thousands separated, a true minus, and never a negative zero; a dash for None."""
    if value is None:
        return UNDEFINED
    text = f"{round(value, digits) + 0.0:{'+' if sign and round(value, digits) else ''},.{digits}f}"
    return text.replace("-", "\N{MINUS SIGN}")


def figure_text(name: str, figure: Figure, currency: str = "") -> str:
    """Return the value of a figure with its unit, that of the account if `currency` is given; a dash if undefined."""
    if figure.value is None:
        return UNDEFINED
    unit = DEFINITIONS[name].unit
    suffix = f" {currency}" if unit is FigureUnit.ACCOUNT and currency else _SUFFIXES.get(unit, "")
    return number(figure.value, _digits(name)) + suffix


def interval_text(name: str, figure: Figure) -> str:
    """Return the bounds of a figure's interval without unit; empty if it has none."""
    if figure.interval is None:
        return ""
    digits = _digits(name)
    return f"{number(figure.interval.low, digits)} to {number(figure.interval.high, digits)}"


def _digits(name: str) -> int:
    return _SMALL.get(name, _DIGITS.get(DEFINITIONS[name].unit, 2))
