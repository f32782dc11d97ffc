"""Numbers, times and names as a report shows them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from ...domain.performance.definitions import DEFINITIONS, FigureUnit
from ...domain.performance.figures import Figure

UNDEFINED = "\N{EN DASH}"

_WORDS = {
    "auc": "AUC",
    "brier": "Brier",
    "cagr": "CAGR",
    "cvar": "CVaR",
    "mae": "MAE",
    "mfe": "MFE",
    "pnl": "net profit",
    "r": "in R",
    "sharpe": "Sharpe",
    "var": "VaR",
    "95": "95%",
}
_UNNAMED = ("pct", "days")
"""Endings of names that say the unit, which is shown beside the value."""

_DIGITS = {FigureUnit.COUNT: 0, FigureUnit.DAYS: 1, FigureUnit.PROBABILITY: 3, FigureUnit.RATIO: 3}
_SMALL = {"expectancy_pct": 4, "average_cost_pct": 4}
"""Decimals of figures that are often below 0.01."""


def label_of(name: str) -> str:
    """Return the name of a figure for people: "win_rate_pct" is "Win rate"."""
    words = [_WORDS.get(word, word) for word in name.split("_") if word not in _UNNAMED]
    text = " ".join(words)
    if name.endswith("_pct") and name.removesuffix("_pct") in DEFINITIONS:
        text += " in %"
    return text[0].upper() + text[1:]


def number(value: float | None, digits: int = 2, *, sign: bool = False) -> str:
    """Return a number with thousands separated, a true minus, and never a negative zero; a dash for None."""
    if value is None:
        return UNDEFINED
    text = f"{round(value, digits) + 0.0:{'+' if sign and round(value, digits) else ''},.{digits}f}"
    return text.replace("-", "\N{MINUS SIGN}")


def figure_text(name: str, figure: Figure, currency: str) -> str:
    """Return the value of a figure with its unit; a dash if it is undefined."""
    unit = DEFINITIONS[name].unit
    text = number(figure.value, _digits(name))
    if figure.value is None or unit in {FigureUnit.COUNT, FigureUnit.RATIO, FigureUnit.PROBABILITY}:
        return text
    if unit is FigureUnit.PERCENT:
        return f"{text}%"
    return f"{text} {({FigureUnit.ACCOUNT: currency, FigureUnit.R: 'R'}).get(unit, 'days')}"


def interval_text(name: str, figure: Figure) -> str:
    """Return the bounds of a figure's interval without unit; empty if it has none."""
    if figure.interval is None:
        return ""
    digits = _digits(name)
    return f"{number(figure.interval.low, digits)} to {number(figure.interval.high, digits)}"


def _digits(name: str) -> int:
    return _SMALL.get(name, _DIGITS.get(DEFINITIONS[name].unit, 2))


def time_text(time: datetime) -> str:
    """Return a time in UTC to the minute."""
    return time.astimezone(UTC).strftime("%Y-%m-%d %H:%M")


def duration_text(duration: timedelta) -> str:
    """Return a duration in its two largest units."""
    minutes = int(duration.total_seconds() // 60)
    days, hours = divmod(minutes // 60, 24)
    if days:
        return f"{days} d {hours} h" if hours else f"{days} d"
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{minutes} min"


def price_digits(prices: tuple[float, ...] | list[float]) -> int:
    """Return decimals that show prices exactly, or to seven significant digits if that needs fewer."""
    if not prices:
        return 2
    largest = max(abs(price) for price in prices)
    enough = max(0, 7 - len(str(int(largest)))) if largest >= 1.0 else 8
    for digits in range(enough):
        if all(abs(round(price, digits) - price) <= 1e-9 * abs(price) for price in prices):
            return digits
    return enough
