"""Profit and loss of a currency pair in the currency of the account."""

from __future__ import annotations

import re
from functools import lru_cache

_PAIR = re.compile(r"([A-Z]{3})([A-Z]{3})")


def in_account_currency(symbol: str, pnl: float, entry: float, price: float, amount: float, currency: str) -> float:
    """Return the profit and loss of a position in account currency.

    - Quoted in the account currency (EURUSD, account in USD): `amount` buys amount / entry units, and each one gains
      `pnl`. The result is exact.
    - Based on it (USDCOP, account in USD): `amount` is itself the number of units. What they gain in the quote currency
      is changed at `price`: amount * pnl / price, also exact.
    - Neither (EURGBP, account in USD), or no pair of currencies: `pnl` in percent of the entry, as in the first case.
      The rate between the quote currency and that of the account, which no bar has, is taken not to move meanwhile.

    Args:
        symbol: in its normal form.
        pnl: profit and loss of one unit, net of costs, in quote currency.
        entry: price of the entry.
        price: price of the exit, or the newest price.
        amount: size of the position in account currency, >= 0.
        currency: of the account, three letters.
    """
    return amount * pnl / (price if _is_base(symbol, currency) else entry)


@lru_cache(4096)
def _is_base(symbol: str, currency: str) -> bool:
    pair = _PAIR.fullmatch(symbol)
    return pair is not None and pair[1] == currency != pair[2]
