"""Times, names and prices as a report shows them. domain/performance/texts.py has its numbers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from ...domain.performance.definitions import DEFINITIONS

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


def label_of(name: str) -> str:
    """Return the name of a figure for people: "win_rate_pct" is "Win rate"."""
    words = [_WORDS.get(word, word) for word in name.split("_") if word not in _UNNAMED]
    text = " ".join(words)
    if name.endswith("_pct") and name.removesuffix("_pct") in DEFINITIONS:
        text += " in %"
    return text[0].upper() + text[1:]


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
