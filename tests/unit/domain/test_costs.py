"""Charges by symbol, parsed from settings, and the costs of a trade."""

from __future__ import annotations

from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradingsignals_server.domain.costs import Charge, Charges, round_trip

TWO_BP = Charge(2.0, in_bp=True)


@pytest.mark.parametrize(
    ("text", "symbol", "charge"),
    [
        ("1.5", "USDCOP", Charge(1.5)),
        ("1.5", "EURUSD", Charge(1.5)),
        ("USDCOP=1.0", "USDCOP", Charge(1.0)),
        ("USDCOP=1.0", "EURUSD", TWO_BP),
        ("USD/COP = 1 , *=0", "USDCOP", Charge(1.0)),
        ("USD/COP = 1 , *=0", "EURUSD", Charge(0.0)),
        ("EURUSD=0.8bp", "EURUSD", Charge(0.8, in_bp=True)),
        ("eurusd=1pip", "EURUSD", Charge(0.0001)),
        ("USDJPY=2pips", "USDJPY", Charge(0.02)),
        ("*=3bp", "BRK.B", Charge(3.0, in_bp=True)),
        ("3 bp", "BRK.B", Charge(3.0, in_bp=True)),
        ("", "USDCOP", TWO_BP),
    ],
)
def test_parse_gives_each_symbol_its_charge(text: str, symbol: str, charge: Charge) -> None:
    assert Charges.parse(text, TWO_BP).of(symbol) == charge


@pytest.mark.parametrize(
    ("highest", "too_high"),
    [("1000bp", "1000.1bp"), ("1000000000000", "1000000000001"), ("1000000000000", "9" * 400)],
)
def test_parse_refuses_a_charge_above_the_highest(highest: str, too_high: str) -> None:
    Charges.parse(highest, TWO_BP)
    with pytest.raises(ValueError, match="must be at most"):
        Charges.parse(too_high, TWO_BP)


def test_formatted_charges_parse_to_equal_charges() -> None:
    charges = Charges.parse("USDCOP=1.25,EURUSD=0.9pip,BRK.B=12bp,*=2.5bp", TWO_BP)
    assert str(charges) == "BRK.B=12bp,EURUSD=0.00009,USDCOP=1.25,*=2.5bp"
    assert Charges.parse(str(charges), TWO_BP) == charges


@pytest.mark.parametrize(
    ("spread", "commission", "slippage", "at_market", "at_limit"),
    [
        (Charge(1.0), Charge(), Charge(), 1.0, 1.0),
        (Charge(), Charge(0.5), Charge(), 1.0, 1.0),
        (Charge(), Charge(), Charge(0.25), 0.5, 0.25),
        (Charge(10.0, in_bp=True), Charge(), Charge(), 0.001 * 4100.0, 0.001 * 4100.0),
        (Charge(), Charge(1.0, in_bp=True), Charge(), 0.0001 * 8200.0, 0.0001 * 8200.0),
        (Charge(), Charge(), Charge(1.0, in_bp=True), 0.0001 * 8200.0, 0.0001 * 4000.0),
        (Charge(1.0), Charge(1.0, in_bp=True), Charge(2.0, in_bp=True), 1.82 + 1.64, 1.82 + 0.8),
    ],
)
def test_a_side_pays_half_the_spread_and_the_commission_and_slippage_at_the_market(
    spread: Charge, commission: Charge, slippage: Charge, at_market: float, at_limit: float
) -> None:
    of_trade = partial(round_trip, spread, commission, slippage, 4000.0, 4200.0)
    assert of_trade() == pytest.approx(at_market, rel=1e-12)
    assert of_trade(at_limit=True) == pytest.approx(at_limit, rel=1e-12)


@given(st.floats(1e-9, 1e12), st.floats(0.0, 1000.0))
def test_basis_points_scale_with_the_price(price: float, bp: float) -> None:
    charge = Charge(bp, in_bp=True)
    assert round_trip(charge, Charge(), Charge(), price, price) / price == pytest.approx(bp / 1e4, rel=1e-9, abs=1e-300)
