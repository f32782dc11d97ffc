"""Prices and trades as compact JSON for the script of the page, which has the inverse of each function here.

Prices are whole numbers of the last decimal, so that differences are short and exact.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

from ...application.report import PriceBars, ReportTrade
from ...domain.signals import Action
from .texts import price_digits

_UNSAFE = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def script_json(value: object) -> str:
    """Return a value as JSON that is safe within a script element, whatever texts are in it."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False, sort_keys=True)
    for character, escape in _UNSAFE.items():
        text = text.replace(character, escape)
    return text


def _differences(values: Sequence[int]) -> list[int]:
    """Return the first value, then what each adds to the one before it."""
    return [*values[:1], *(after - before for before, after in pairwise(values))]


def packed_bars(bars: PriceBars) -> dict[str, Any]:
    """Return the bars: times and closes as differences, open less close before, and what high and low are beyond."""
    digits = price_digits((*bars.open, *bars.high, *bars.low, *bars.close))
    opens, highs, lows, closes = (
        [round(price * 10**digits) for price in column] for column in (bars.open, bars.high, bars.low, bars.close)
    )
    seconds = int(bars.interval.total_seconds())
    return {
        "symbol": bars.symbol,
        "seconds": seconds,
        "digits": digits,
        "start": bars.times[0] if bars.times else 0,
        "t": _steps([time // seconds for time in bars.times]),
        "o": [price - before for price, before in zip(opens, [0, *closes], strict=False)],
        "h": [high - max(open_, close) for high, open_, close in zip(highs, opens, closes, strict=True)],
        "l": [min(open_, close) - low for low, open_, close in zip(lows, opens, closes, strict=True)],
        "c": [close - open_ for open_, close in zip(opens, closes, strict=True)],
    }


def _steps(indexes: Sequence[int]) -> list[int]:
    """Return index and step of each change of the step of `indexes`: pairs in one list. A step of 1 is the rule."""
    return [
        part
        for at, (before, after) in enumerate(pairwise(indexes))
        if after - before != 1
        for part in (at + 1, after - before)
    ]


def packed_trades(trades: Iterable[ReportTrade]) -> dict[str, Any]:
    """Return the trades in the order of their entries, as columns; every trade is in it.

    Prices are per symbol as differences to the entry, money and R in hundredths, probabilities in percent.
    """
    ordered = sorted(trades, key=lambda one: (one.trade.entry_time, one.trade.exit_time, one.trade.symbol))
    symbols = sorted({one.trade.symbol for one in ordered})
    reasons = sorted({one.trade.resolution for one in ordered})
    digits = [
        price_digits([price for one in ordered if one.trade.symbol == symbol for price in _prices(one)])
        for symbol in symbols
    ]
    scaled = [
        [round(price * 10 ** digits[symbols.index(one.trade.symbol)]) for price in _prices(one)] for one in ordered
    ]
    facts = [one.trade for one in ordered]
    entries = [int(trade.entry_time.timestamp()) for trade in facts]
    return {
        "symbols": symbols,
        "digits": digits,
        "reasons": reasons,
        "symbol": [symbols.index(trade.symbol) for trade in facts],
        "side": [1 if trade.action is Action.BUY else -1 for trade in facts],
        "entry": _differences(entries),
        "held": [int(trade.exit_time.timestamp()) - entry for trade, entry in zip(facts, entries, strict=True)],
        "price": [prices[0] for prices in scaled],
        "exit": [prices[1] - prices[0] for prices in scaled],
        "stop": [prices[2] - prices[0] for prices in scaled],
        "target": [prices[3] - prices[0] for prices in scaled],
        "reason": [reasons.index(trade.resolution) for trade in facts],
        "pnl": [round(100 * trade.pnl) for trade in facts],
        "r": [round(100 * trade.r_multiple) for trade in facts],
        "confidence": [round(100 * trade.confidence) for trade in facts],
        "win": [None if trade.win_probability is None else round(100 * trade.win_probability) for trade in facts],
    }


def _prices(one: ReportTrade) -> tuple[float, float, float, float]:
    return one.entry_price, one.exit_price, one.stop_loss, one.take_profit
