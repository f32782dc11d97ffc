"""Costs of a trade: spread, commission and slippage, by symbol, in price, basis points or pips."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Self

from .bars import HIGHEST_PRICE
from .symbols import EVERY_OTHER, items_by_symbol

HIGHEST_BP = 1000.0
"""Upper bound of a charge in basis points: more than a tenth of the price is taken for a mistake."""

_CHARGE = re.compile(r"(?P<amount>[0-9]+(?:\.[0-9]*)?|\.[0-9]+) ?(?P<unit>bp|pips?)?")
_PAIR = re.compile(r"[A-Z]{3}([A-Z]{3})")


@dataclass(frozen=True, slots=True)
class Charge:
    """One charge: `amount` is in price, or with `in_bp` in basis points (hundredths of a percent) of the price."""

    amount: float = 0.0
    in_bp: bool = False

    def of(self, price: float) -> float:
        """Return the charge in price for a fill at `price`."""
        return self.amount * 1e-4 * price if self.in_bp else self.amount

    def times(self, factor: float) -> Charge:
        """Return the charge multiplied by `factor`."""
        return Charge(self.amount * factor, self.in_bp)

    def __str__(self) -> str:
        """Format the charge as a setting has it."""
        return f"{Decimal(f'{self.amount:.12g}'):f}{'bp' if self.in_bp else ''}"


@dataclass(frozen=True, slots=True)
class Charges:
    """Charges of one kind: `by_symbol` for the symbols it contains, `every_other` for all others."""

    every_other: Charge = Charge()
    by_symbol: Mapping[str, Charge] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str, every_other: Charge) -> Self:
        """Parse charges such as "USDCOP=1.0, EURUSD=0.9pip, *=2bp"; "2bp" alone applies to every symbol.

        A plain number is in price, "bp" means basis points of the price, "pip" means pips: 0.0001 for a currency pair,
        0.01 for one quoted in yen. `every_other` applies to the symbols not listed, unless `text` contains "*".

        Raises:
            ValueError: the text is not a list of charges. The message is one line.
        """
        by_symbol = {symbol: _charge(written, symbol) for symbol, written in items_by_symbol(text).items()}
        every_other = by_symbol.pop(EVERY_OTHER, every_other)
        return cls(every_other, by_symbol)

    @classmethod
    def flat(cls, amount: float) -> Self:
        """Return charges of `amount`, in price, for every symbol."""
        return cls(Charge(amount))

    def of(self, symbol: str) -> Charge:
        """Return the charge of one symbol, which is in its normal form."""
        return self.by_symbol.get(symbol, self.every_other)

    def __str__(self) -> str:
        """Format the charges as a setting has them, `every_other` last."""
        named = [f"{symbol}={charge}" for symbol, charge in sorted(self.by_symbol.items())]
        return ",".join([*named, f"{EVERY_OTHER}={self.every_other}"])


NO_CHARGES = Charges()
"""Charges of 0 for every symbol."""


def round_trip(
    spread: Charge, commission: Charge, slippage: Charge, entry: float, exit_: float, *, at_limit: bool = False
) -> float:
    """Return the costs in price of a trade from `entry` to `exit_`: on each side half the spread and the commission.

    A side that is filled at the market pays the slippage too: the entry, and every exit but one by a limit order.

    Args:
        spread: difference between ask and bid.
        commission: commission for one side.
        slippage: how far from the price a market order is filled, against it.
        entry: price of the entry.
        exit_: price of the exit.
        at_limit: the exit is a limit order, as a target is, which is filled at its price or not at all.
    """
    slipped = slippage.of(entry) + (0.0 if at_limit else slippage.of(exit_))
    return (spread.of(entry) + spread.of(exit_)) / 2.0 + commission.of(entry) + commission.of(exit_) + slipped


def _charge(written: str, symbol: str) -> Charge:
    found = _CHARGE.fullmatch(written)
    if found is None:
        raise ValueError(f"{written!r} must be a number, in price, or one with bp or pip, such as 1.0, 2bp or 0.9pip")
    amount, unit = float(found["amount"]), found["unit"]
    if unit == "bp":
        if amount > HIGHEST_BP:
            raise ValueError(f"{written!r} must be at most {HIGHEST_BP:g}bp")
        return Charge(amount, in_bp=True)
    if unit is not None:
        pair = _PAIR.fullmatch(symbol)
        if pair is None:
            raise ValueError(f"{written!r} needs a currency pair, such as EURUSD={written}: only pairs have pips")
        amount *= 0.01 if pair[1] == "JPY" else 0.0001
    if not math.isfinite(amount) or amount > HIGHEST_PRICE:
        raise ValueError(f"{written!r} must be at most {HIGHEST_PRICE:g}")
    return Charge(amount)
