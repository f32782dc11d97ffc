"""Symbols: their normal form, and settings by symbol."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradingsignals_server.domain.errors import InvalidRequest
from tradingsignals_server.domain.symbols import EVERY_OTHER, items_by_symbol, parse_symbol


@pytest.mark.parametrize(
    ("text", "symbol"),
    [
        ("USDCOP", "USDCOP"),
        ("USD/COP", "USDCOP"),
        ("USD-COP", "USDCOP"),
        ("usd_cop", "USDCOP"),
        ("usdcop", "USDCOP"),
        ("BTC/USDT", "BTCUSDT"),
        ("BTC-USD", "BTCUSD"),
        ("BRK/B", "BRK.B"),
        ("brk/b", "BRK.B"),
        ("F", "F"),
        ("COP", "COP"),
        ("US/COP", "US.COP"),
        ("USD/COPXYZ", "USD.COPXYZ"),
        ("ES-DEC26", "ES-DEC26"),
        ("ES_F", "ES_F"),
        ("BRK.B", "BRK.B"),
        ("7203", "7203"),
        ("AB", "AB"),
        ("A" * 20, "A" * 20),
    ],
)
def test_parse_symbol_returns_the_normal_form(text: str, symbol: str) -> None:
    assert parse_symbol(text) == symbol


@pytest.mark.parametrize(
    "text",
    [
        *("", "A" * 21, "USD COP", "USDCOP\n", " USDCOP", ".AB", "-AB", "ÜSD", "ﬁx", "\u0131bm", "!"),
        *("USD/", "/COP", "USD/COP/EUR", "USD//COP", "BRK/.B"),
    ],
)
def test_parse_symbol_refuses_text_that_is_not_a_symbol(text: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_symbol(text, field="symbols[2]")
    assert [violation.field for violation in caught.value.violations] == ["symbols[2]"]


@given(st.text(max_size=25))
def test_parse_symbol_leaves_a_normal_form_unchanged(text: str) -> None:
    try:
        symbol = parse_symbol(text)
    except InvalidRequest:
        return
    assert parse_symbol(symbol) == symbol
    assert 1 <= len(symbol) <= 20


def test_items_by_symbol_are_split_at_the_last_equals_sign() -> None:
    assert items_by_symbol(" btc/usdt = 1h ,*=5m,, ") == {"BTCUSDT": "1h", EVERY_OTHER: "5m"}
    assert items_by_symbol("2bp") == {EVERY_OTHER: "2bp"}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("AB=1,ab=2", "names AB twice"),
        ("1,*=2", "names \\* twice"),
        ("A B=1", "'A B' must be one to twenty of .*"),
        ("=1", "'' must be one to twenty of .*"),
    ],
)
def test_items_by_symbol_refuse_names_that_are_no_symbol_or_repeated(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=f"^{problem}$"):
        items_by_symbol(text)
