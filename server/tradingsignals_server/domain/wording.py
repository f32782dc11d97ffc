"""Counts and percentages in texts that users read."""

from __future__ import annotations

from typing import Final

_MOST_DECIMALS: Final = 12


def counted(count: int, one: str, many: str = "") -> str:
    """Return a count with its unit: "1 bar", "1,200 bars". `many` is the plural, `one` with an s by default."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def percent(value: float, decimals: int, beside: float = 0.0) -> str:
    """Return a fraction in percent, with more decimals if it would look like 0, or like `beside`, and is not.

    Args:
        value: the fraction: 0.02 is "2.00%" with two decimals.
        decimals: decimals that it has at least.
        beside: a value in the same text that it is compared with.
    """
    others = [other for other in (0.0, beside) if other != value]
    for places in range(decimals, _MOST_DECIMALS + 1):
        text = f"{value:.{places}%}"
        if all(text.lstrip("-") != f"{other:.{places}%}".lstrip("-") for other in others):
            return text
    return f"{value:.{decimals}%}"
