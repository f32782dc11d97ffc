"""Names of symbols: their normal form, and how settings name them."""

from __future__ import annotations

import re

from .errors import InvalidRequest

EVERY_OTHER = "*"
"""In a setting by symbol: all symbols that it does not name."""

_SYMBOL = re.compile(r"[A-Z0-9][A-Z0-9._-]{0,19}")
_PAIR = re.compile(r"([A-Z]{3,5})[/_-]([A-Z]{3,5})")
_SLASH = re.compile(r"(?<=[A-Z0-9])/(?=[A-Z0-9])")


def parse_symbol(text: str, *, field: str = "symbol") -> str:
    """Return a symbol in its normal form.

    1. Letters become upper case: "usdcop" becomes "USDCOP".
    2. A pair, which is two groups of three to five letters separated by '/', '-' or '_', loses the separator:
       "USD/COP", "USD-COP" and "usd_cop" become "USDCOP", "BTC/USDT" becomes "BTCUSDT".
    3. Any other single '/' becomes '.': "BRK/B" becomes "BRK.B".

    Raises:
        InvalidRequest: the normal form is not one to twenty of A-Z, 0-9, '.', '_', '-', starting with a letter or a
            digit.
    """
    symbol = text.upper() if text.isascii() else text
    pair = _PAIR.fullmatch(symbol)
    symbol = _SLASH.sub(".", symbol, count=1) if pair is None else pair[1] + pair[2]
    if not _SYMBOL.fullmatch(symbol):
        raise InvalidRequest.field(field, "must be one to twenty of A-Z, 0-9, '.', '_', '-', '/', such as USDCOP")
    return symbol


def slashed_pair(symbol: str) -> str | None:
    """Return USD/COP for USDCOP, as others write a pair of two currencies; None for a symbol that is none."""
    return f"{symbol[:3]}/{symbol[3:]}" if len(symbol) == 6 and symbol.isalpha() else None


def items_by_symbol(text: str) -> dict[str, str]:
    """Split a setting such as "USDCOP=1.0, *=2bp" into values by symbol; "2bp" alone is that of EVERY_OTHER.

    Raises:
        ValueError: a name is not a valid symbol, or stands there twice. The message is one line.
    """
    found: dict[str, str] = {}
    for part in filter(None, map(str.strip, text.split(","))):
        name, equals, written = (piece.strip() for piece in part.rpartition("="))
        symbol = EVERY_OTHER if not equals or name == EVERY_OTHER else _named(name)
        if symbol in found:
            raise ValueError(f"names {symbol} twice")
        found[symbol] = written
    return found


def _named(name: str) -> str:
    try:
        return parse_symbol(name)
    except InvalidRequest as error:
        raise ValueError(f"{name!r} {error.violations[0].description}") from error
