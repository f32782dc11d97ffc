"""A figure as text: its value in its unit, and its interval."""

from __future__ import annotations

from ...domain.performance.definitions import DEFINITIONS, FigureUnit
from ...domain.performance.figures import Figure

_SUFFIXES = {FigureUnit.PERCENT: "%", FigureUnit.R: " R", FigureUnit.DAYS: " days"}
NOTHING = "-"


def figure_text(name: str, figure: Figure) -> str:
    """Return the value of the figure `name`; NOTHING if it is undefined."""
    return NOTHING if figure.value is None else _value(name, figure.value)


def interval_text(name: str, figure: Figure) -> str:
    """Return the 95% interval; "" if the figure has none."""
    if figure.interval is None:
        return ""
    low, high = (_number(name, bound) for bound in (figure.interval.low, figure.interval.high))
    return f"{low} to {high}"


def signed(value: float, decimals: int = 2) -> str:
    """Return a number with its sign; one that rounds to 0 is +0.00."""
    return f"{round(value, decimals) + 0.0:+,.{decimals}f}"


def _value(name: str, value: float) -> str:
    return _number(name, value) + _SUFFIXES.get(DEFINITIONS[name].unit, "")


def _number(name: str, value: float) -> str:
    match DEFINITIONS[name].unit:
        case FigureUnit.COUNT:
            return f"{value:,.0f}"
        case FigureUnit.ACCOUNT:
            return f"{round(value, 2) + 0.0:,.2f}"
        case FigureUnit.DAYS:
            return f"{value:,.0f}"
        case FigureUnit.PROBABILITY:
            return f"{value:.3f}"
        case FigureUnit.PERCENT if name == "average_cost_pct":
            return f"{value:.3f}"
        case _:
            return f"{round(value, 2) + 0.0:,.2f}"
