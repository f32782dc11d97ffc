"""Messages of the log are read back as what they were made of."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
from tests.support.builders import NOW, bar, position, signal

from tradingsignals_server.api.mapping.log_encoding import encode
from tradingsignals_server.api.mapping.log_messages import (
    market_update_of,
    position_of,
    signal_of,
    trading_control_of,
)
from tradingsignals_server.domain.events import Disposition, MarketUpdate, TradingControl
from tradingsignals_server.domain.indicators import Indicators
from tradingsignals_server.domain.positions import Exit, ExitReason, Position, close
from tradingsignals_server.domain.risk import RiskRules
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
        replace(FULL, valid_until=None),
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


@pytest.mark.parametrize(
    "made",
    [
        position(),
        replace(position(Action.SELL), bars_held=4, pnl_account=-0.1, max_adverse_excursion=1 / 3, simulated=True),
        close(position(), Exit(NOW, 101.5, ExitReason.MANUAL), RiskRules()),
        close(position(), Exit(NOW + timedelta(microseconds=1), 99.9, ExitReason.REVERSED, UUID(int=9)), RiskRules()),
    ],
)
def test_position_is_read_back_without_session_and_trailing_distance(made: Position) -> None:
    trailed = replace(made, trail_distance=0.5, session_day=NOW.date())
    read = position_of(encode(trailed, 7))
    assert read == replace(made, trail_distance=None, session_day=None)
    assert read.sequence == 7


@pytest.mark.parametrize("disposition", [Disposition.ACCEPTED, Disposition.LATE])
def test_bar_is_read_back(disposition: Disposition) -> None:
    update = MarketUpdate(bar(3, 100.1, 101.0, 99.5, 100.7), disposition)
    assert market_update_of(encode(update, 1)) == update


def test_halt_of_trading_is_read_back() -> None:
    control = TradingControl(True, "news at ten", "the desk", FULL.timestamp)
    assert trading_control_of(encode(control, 1)) == control
