from __future__ import annotations

from datetime import timedelta

import pytest

from tradingsignals_server.adapters.report.texts import duration_text, label_of, price_digits
from tradingsignals_server.domain.performance.definitions import DEFINITIONS


def test_labels_are_unique() -> None:
    assert len({label_of(name) for name in DEFINITIONS}) == len(DEFINITIONS)
    assert label_of("win_rate_pct") == "Win rate"
    assert label_of("cvar_95_pct") == "CVaR 95%"
    assert label_of("pnl") == "Net profit"


@pytest.mark.parametrize(
    ("minutes", "text"),
    [(5, "5 min"), (60, "1 h"), (90, "1 h 30 min"), (1440, "1 d"), (1500, "1 d 1 h"), (1441, "1 d")],
)
def test_durations(minutes: int, text: str) -> None:
    assert duration_text(timedelta(minutes=minutes)) == text


def test_prices_get_the_decimals_that_they_have_up_to_seven_digits() -> None:
    assert price_digits([4000.25, 4000.5]) == 2
    assert price_digits([1.08345]) == 5
    assert price_digits([4000.123456]) == 3
    assert price_digits([]) == 2
