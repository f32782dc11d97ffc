"""Bounds and defaults of the fields of requests, declared once.

`Checks` refuses what is outside of them, and the OpenAPI document states them. A key is a field, wherever it occurs, or
a message and its field, which takes precedence. Rules between fields, such as a high below a low, are in the domain.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ...application.decision.quotes import LOOKBACK_MAXIMUM, LOOKBACK_MINIMUM
from ...domain.access import MAX_NETWORKS
from ...domain.bars import HIGHEST_PRICE, LOWEST_PRICE
from ...domain.window import LOOKBACK_BARS

DEFAULT_SYMBOL: Final = "USDCOP"
SYMBOL_PATTERN: Final = "^[A-Za-z0-9][A-Za-z0-9._/-]{0,19}$"
"""What every text matches that `parse_symbol` accepts."""
MAXIMUM_SEQUENCE: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Bounds:
    """Bounds of a number, both of which it may have."""

    low: float
    high: float
    default: float | None = None  # of an absent field; None: absence has a meaning of its own


_PRICE: Final = Bounds(LOWEST_PRICE, HIGHEST_PRICE)
_INDICATOR: Final = Bounds(-HIGHEST_PRICE, HIGHEST_PRICE)

NUMBERS: Final[Mapping[str, Bounds]] = {
    "limit": Bounds(1, 1000, 100),
    "ListClosedPositionsRequest.limit": Bounds(1, 500, 50),
    "closes": Bounds(0, 100, 0),
    "lookback_bars": Bounds(LOOKBACK_MINIMUM, LOOKBACK_MAXIMUM, LOOKBACK_BARS),
    "heartbeat_seconds": Bounds(1, 60, 15),
    "min_confidence": Bounds(0, 1),
    "resume_after": Bounds(0, MAXIMUM_SEQUENCE),
    "speed": Bounds(0, 1e6, 0),
    **dict.fromkeys(("open", "high", "low", "close", "price"), _PRICE),
    **dict.fromkeys(("open_price", "high_price", "low_price", "close_price"), _PRICE),
    **dict.fromkeys(("bb_upper", "bb_lower", "ema_20", "ema_50", "atr"), _PRICE),
    **dict.fromkeys(("macd", "macd_signal"), _INDICATOR),
    "rsi": Bounds(0, 100),
    "volume": Bounds(0, HIGHEST_PRICE),
    "Bar.volume": Bounds(0, float("inf"), 0),
}
"""The prices, indicators and volumes are checked by the domain, from which these bounds come."""

LENGTHS: Final[Mapping[str, int]] = {
    "symbols": 1000,
    "actions": 100,
    "kinds": 100,
    "settings": 50,
    "by": 9,
    "networks": MAX_NETWORKS,
    "RunBacktestRequest.bars": 20_000,
}
"""The most elements of a list, repeated ones counted."""

DEFAULT_SYMBOLS: Final = frozenset(
    {"ListBarsRequest.symbol", "GenerateSignalRequest.symbol", "GenerateSignalFromDbRequest.symbol"}
)
"""Fields that mean DEFAULT_SYMBOL if they are absent or empty. Elsewhere it means all symbols."""


def number_bounds(message: str, field: str) -> Bounds | None:
    """Return the bounds of a number in a request, or None if there are none."""
    return NUMBERS.get(f"{message}.{field}", NUMBERS.get(field))


def greatest_length(message: str, field: str) -> int | None:
    """Return the most elements of a list in a request, or None if there is no bound."""
    return LENGTHS.get(f"{message}.{field}", LENGTHS.get(field))
