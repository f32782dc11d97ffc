"""What a trade costs: spread and commission, by symbol, in price, basis points or pips."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Self

from .bars import HIGHEST_PRICE, parse_symbol
from .errors import InvalidRequest

EVERY_OTHER = "*"
"""Stands for the symbols that are not named."""

HIGHEST_BP = 1000.0
"""A charge of more than a tenth of the price is a mistake."""

_CHARGE = re.compile(r"(?P<amount>[0-9]+(?:\.[0-9]*)?|\.[0-9]+) ?(?P<unit>bp|pips?)?")
_PAIR = re.compile(r"[A-Z]{3}([A-Z]{3})")


@dataclass(frozen=True, slots=True)
class Charge:
    """A part of a cost: `amount` in price, or in basis points (hundredths of a percent) of the price."""

    amount: float = 0.0
    in_bp: bool = False

    def of(self, price: float) -> float:
        """What it is at `price`, in price."""
        return self.amount * 1e-4 * price if self.in_bp else self.amount

    def times(self, factor: float) -> Charge:
        """So many times as much."""
        return Charge(self.amount * factor, self.in_bp)

    def __str__(self) -> str:
        """As it is written in a setting."""
        return f"{Decimal(f'{self.amount:.12g}'):f}{'bp' if self.in_bp else ''}"


@dataclass(frozen=True, slots=True)
class Charges:
    """One kind of cost: of the symbols that are named, and of every other."""

    every_other: Charge = Charge()
    by_symbol: Mapping[str, Charge] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str, every_other: Charge) -> Self:
        """The charges that `text` writes, such as "USDCOP=1.0, EURUSD=0.9pip, *=2bp"; "2bp" alone is for every symbol.

        A number is in price, "bp" in basis points of it, "pip" in pips: 0.0001 of a currency pair, 0.01 if it is
        quoted in yen. `every_other` is for the symbols not named, unless "*" is.

        Raises:
            ValueError: the text writes none. The message is one line.
        """
        by_symbol: dict[str, Charge] = {}
        for part in filter(None, map(str.strip, text.split(","))):
            name, equals, written = (piece.strip() for piece in part.rpartition("="))
            symbol = EVERY_OTHER if not equals or name == EVERY_OTHER else _symbol(name)
            if symbol in by_symbol:
                raise ValueError(f"names {symbol} twice")
            by_symbol[symbol] = _charge(written, symbol)
        every_other = by_symbol.pop(EVERY_OTHER, every_other)
        return cls(every_other, by_symbol)

    @classmethod
    def flat(cls, amount: float) -> Self:
        """The same amount in price for every symbol."""
        return cls(Charge(amount))

    def of(self, symbol: str) -> Charge:
        """That of one symbol, in its normal form."""
        return self.by_symbol.get(symbol, self.every_other)

    def __str__(self) -> str:
        """As it is written in a setting, every other symbol last."""
        named = [f"{symbol}={charge}" for symbol, charge in sorted(self.by_symbol.items())]
        return ",".join([*named, f"{EVERY_OTHER}={self.every_other}"])


NO_CHARGES = Charges()
"""Nothing is charged."""


def round_trip(spread: Charge, commission: Charge, entry: float, exit_: float) -> float:
    """What a trade from `entry` to `exit_` costs, in price: on each side half the spread, and the commission."""
    return (spread.of(entry) + spread.of(exit_)) / 2.0 + commission.of(entry) + commission.of(exit_)


def _symbol(name: str) -> str:
    try:
        return parse_symbol(name)
    except InvalidRequest as error:
        raise ValueError(f"{name!r} {error.violations[0].description}") from error


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
