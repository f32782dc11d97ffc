"""Bodies of POST /api/signals/generate with a known action.

They bring all indicators, so that they say the same whatever bars are stored.
"""

from __future__ import annotations


def sure_buy(symbol: str, price: float = 4000.0, atr: float = 10.0) -> dict[str, object]:
    """Return a rising market: BUY, far above the threshold."""
    return _quote(symbol, price, atr, side=1.0)


def sure_sell(symbol: str, price: float = 4000.0, atr: float = 10.0) -> dict[str, object]:
    """Return a falling market: SELL, far above the threshold."""
    return _quote(symbol, price, atr, side=-1.0)


def sure_hold(symbol: str, price: float = 4000.0, atr: float = 10.0) -> dict[str, object]:
    """Return a constant market: HOLD."""
    return _quote(symbol, price, atr, side=0.0)


def _quote(symbol: str, price: float, atr: float, side: float) -> dict[str, object]:
    return {
        "symbol": symbol,
        "close_price": price,
        "rsi": 50.0 + 40.0 * side,
        "macd": 2.0 * atr * side,
        "macd_signal": 0.0,
        "bb_upper": price + 2.0 * atr,
        "bb_lower": price - 2.0 * atr,
        "ema_20": price + 2.0 * atr * side,
        "ema_50": price,
        "atr": atr,
    }
