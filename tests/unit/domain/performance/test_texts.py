"""Figures as text."""

from __future__ import annotations

import pytest

from tradingsignals_server.domain.performance.figures import ConfidenceInterval, Figure
from tradingsignals_server.domain.performance.texts import figure_text, interval_text, number


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [(1234.5, 1, "1,234.5"), (-0.001, 2, "0.00"), (-2.0, 0, "\N{MINUS SIGN}2"), (None, 2, "\N{EN DASH}")],
)
def test_numbers(value: float | None, digits: int, text: str) -> None:
    assert number(value, digits) == text


def test_a_sign_is_shown_where_asked_and_never_before_zero() -> None:
    assert [number(value, 1, sign=True) for value in (1.0, -1.0, 0.01)] == ["+1.0", "\N{MINUS SIGN}1.0", "0.0"]


def test_figures_have_their_unit() -> None:
    assert figure_text("pnl", Figure(12.3, 4), "USD") == "12.30 USD"
    assert figure_text("win_rate_pct", Figure(45.0, 4), "USD") == "45.00%"
    assert figure_text("expectancy_r", Figure(0.5, 4), "USD") == "0.50 R"
    assert figure_text("pnl", Figure(-12.3, 4)) == "\N{MINUS SIGN}12.30"
    assert figure_text("trades", Figure(1500.0, 4), "USD") == "1,500"
    assert figure_text("longest_drawdown_days", Figure(3.25, 4), "USD") == "3.2 days"
    assert figure_text("sharpe", Figure(None, 0), "USD") == "\N{EN DASH}"
    assert interval_text("sharpe", Figure(1.0, 4, ConfidenceInterval(0.25, 2.0))) == "0.250 to 2.000"
    assert interval_text("sharpe", Figure(1.0, 4)) == ""
