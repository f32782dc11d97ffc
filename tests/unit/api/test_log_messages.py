"""Messages of the log are read back as what they were made of."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.support.builders import bar, signal

from tradingsignals_server.api.mapping.log_messages import market_update_of, signal_of, trading_control_of
from tradingsignals_server.api.mapping.to_proto import encode
from tradingsignals_server.domain.events import Disposition, MarketUpdate, TradingControl
from tradingsignals_server.domain.indicators import Indicators
from tradingsignals_server.domain.signals import Action, MarketRegime, Origin, TrendDirection, WinEstimate

FULL = replace(
    signal(Action.SELL, 4012.34567),
    latency_ms=0.25,
    origin=Origin.REQUEST,
    indicators=Indicators(*(None if number in {4, 12} else 0.1 * number for number in range(13))),
    market_regime=MarketRegime.VOLATILE,
    trend_direction=TrendDirection.SIDEWAYS,
    model_failed=True,
    simulated=True,
    timestamp=signal().timestamp + timedelta(microseconds=123457),
)


@pytest.mark.parametrize(
    "made",
    [
        signal(Action.BUY),
        signal(Action.HOLD, atr=None),
        FULL,
        replace(FULL, decision=replace(FULL.decision, win=WinEstimate(0.5, 20))),
    ],
)
def test_signal_is_read_back(made: object) -> None:
    assert isinstance(made, type(FULL))
    made = replace(made, bar_interval=made.timestamp - made.bar_time) if made.bar_time else made
    read = signal_of(encode(made, 7))
    assert read == made
    assert read.latency_ms == made.latency_ms


def test_signal_without_a_bar_is_read_back() -> None:
    made = replace(FULL, bar_time=None)
    assert signal_of(encode(made, 7)) == made


@pytest.mark.parametrize("disposition", [Disposition.ACCEPTED, Disposition.LATE])
def test_bar_is_read_back(disposition: Disposition) -> None:
    update = MarketUpdate(bar(3, 100.1, 101.0, 99.5, 100.7), disposition)
    assert market_update_of(encode(update, 1)) == update


def test_halt_of_trading_is_read_back() -> None:
    control = TradingControl(True, "news at ten", "the desk", FULL.timestamp)
    assert trading_control_of(encode(control, 1)) == control
