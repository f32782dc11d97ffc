"""Profit and loss in account currency, computed by hand."""

from __future__ import annotations

import pytest
from tests.support.builders import MONDAY, OPENING, signal

from tradingsignals_server.domain.currency import in_account_currency
from tradingsignals_server.domain.positions import Exit, ExitReason, close, open_position
from tradingsignals_server.domain.risk import RiskRules
from tradingsignals_server.domain.signals import Action


@pytest.mark.parametrize(
    ("symbol", "currency", "pnl", "entry", "price", "expected"),
    [
        # 1,000 dollars gain 100 pesos each: 100,000 pesos, which are 25 dollars at 4,000.
        pytest.param("USDCOP", "USD", 100.0, 3900.0, 4000.0, 25.0, id="pesos become dollars at the exit"),
        pytest.param("USDCOP", "USD", -100.0, 4100.0, 4000.0, -25.0, id="a loss too"),
        # 1,000 dollars buy 800 euros at 1.25, which gain 0.125 dollars each.
        pytest.param("EURUSD", "USD", 0.125, 1.25, 1.375, 100.0, id="quoted in the account currency"),
        pytest.param("USDCOP", "COP", 100.0, 4000.0, 4100.0, 25.0, id="an account in pesos"),
        pytest.param("EURGBP", "USD", 0.1, 0.8, 0.9, 125.0, id="a cross rate counts by percent"),
        pytest.param("BTCUSDT", "USD", 100.0, 1000.0, 1100.0, 100.0, id="not a pair of two currencies"),
        pytest.param("USDUSD", "USD", 1.0, 100.0, 50.0, 10.0, id="the same currency twice"),
    ],
)
def test_profit_in_account_currency(
    symbol: str, currency: str, pnl: float, entry: float, price: float, expected: float
) -> None:
    assert in_account_currency(symbol, pnl, entry, price, 1000.0, currency) == pytest.approx(expected, rel=1e-15)


def test_dollars_of_a_usdcop_position_are_its_pesos_at_the_exit_price() -> None:
    rules = RiskRules(initial_equity=100_000.0, position_size_pct=0.02)
    opened = open_position(signal(Action.SELL, 4000.0, atr=20.0, rules=rules), rules, MONDAY)
    closed = close(opened, Exit(OPENING, 3950.0, ExitReason.MANUAL), rules)
    assert closed.pnl == 50.0
    assert closed.pnl_account == pytest.approx(2_000.0 * 50.0 / 3950.0)
    pesos = close(opened, Exit(OPENING, 3950.0, ExitReason.MANUAL), RiskRules(account_currency="COP"))
    assert pesos.pnl_account == pytest.approx(2_000.0 * 50.0 / 4000.0)
