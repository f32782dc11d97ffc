from __future__ import annotations

import json
from itertools import accumulate, pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.report_data import INTERVAL, bar_times, report_data, walk

from tradingsignals_server.adapters.report.packing import packed_bars, packed_trades, script_json
from tradingsignals_server.application.report import PriceBars
from tradingsignals_server.domain.signals import Action


def unpacked(packed: dict[str, Any]) -> PriceBars:
    """Return the bars, as the script of the page does."""
    scale, steps = 10 ** packed["digits"], dict(zip(packed["t"][::2], packed["t"][1::2], strict=True))
    rows, time, close = [], packed["start"], 0
    for at in range(len(packed["o"])):
        time += steps.get(at, 1) * packed["seconds"] if at else 0
        open_ = close + packed["o"][at]
        close = open_ + packed["c"][at]
        high, low = max(open_, close) + packed["h"][at], min(open_, close) - packed["l"][at]
        rows.append((time, open_ / scale, high / scale, low / scale, close / scale))
    return PriceBars(packed["symbol"], INTERVAL, *zip(*rows, strict=True))


def test_bars_survive_packing_exactly() -> None:
    bars = walk("USDCOP", bar_times(500), 3)
    assert unpacked(json.loads(script_json(packed_bars(bars)))) == bars


@given(
    st.lists(st.integers(1, 5_000), min_size=1, max_size=30),
    st.lists(st.tuples(*[st.integers(100, 99_999)] * 4), min_size=30, max_size=30),
)
def test_bars_with_gaps_survive_packing(steps: list[int], prices: list[tuple[int, ...]]) -> None:
    times = tuple(300 * at for at in accumulate(steps))
    rows = [
        (open_ / 100, max(one) / 100, min(one) / 100, close / 100)
        for one in prices[: len(times)]
        for open_, _, _, close in [one]
    ]
    bars = PriceBars("X", INTERVAL, times, *zip(*rows, strict=True))
    assert unpacked(packed_bars(bars)) == bars


def test_every_trade_is_packed_with_its_figures() -> None:
    data = report_data(bars=2_000, trades=40, symbols=("EURUSD", "USDCOP"))
    packed = json.loads(script_json(packed_trades(data.trades)))
    ordered = sorted(data.trades, key=lambda one: (one.trade.entry_time, one.trade.exit_time, one.trade.symbol))
    assert len(packed["entry"]) == len(ordered)
    for at, (one, entry) in enumerate(zip(ordered, accumulate(packed["entry"]), strict=True)):
        trade, scale = one.trade, 10 ** packed["digits"][packed["symbol"][at]]
        assert packed["symbols"][packed["symbol"][at]] == trade.symbol
        assert (packed["side"][at] == 1) is (trade.action is Action.BUY)
        assert (entry, entry + packed["held"][at]) == (trade.entry_time.timestamp(), trade.exit_time.timestamp())
        price = packed["price"][at]
        prices = [price, *(price + packed[name][at] for name in ("exit", "stop", "target"))]
        assert [one / scale for one in prices] == [one.entry_price, one.exit_price, one.stop_loss, one.take_profit]
        assert packed["reasons"][packed["reason"][at]] == trade.resolution
        assert packed["pnl"][at] / 100 == pytest.approx(trade.pnl, abs=0.005)
        assert packed["r"][at] / 100 == pytest.approx(trade.r_multiple, abs=0.005)
        assert packed["confidence"][at] / 100 == pytest.approx(trade.confidence, abs=0.005)


@given(st.text())
def test_json_in_a_script_has_no_character_of_html(text: str) -> None:
    packed = script_json({text: [text]})
    assert not set("<>&\u2028\u2029") & set(packed)
    assert json.loads(packed) == {text: [text]}


def test_entries_are_in_the_order_of_time() -> None:
    data = report_data(bars=2_000, trades=40, symbols=("EURUSD", "USDCOP"))
    entries = list(accumulate(packed_trades(reversed(data.trades))["entry"]))
    assert all(before <= after for before, after in pairwise(entries))
