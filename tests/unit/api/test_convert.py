"""Conversion between domain and messages: every value is converted, absent ones stay absent, and enums agree."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st
from tests.support.builders import NOW, OPENING, bar, position, signal
from tests.support.calibrations import CALIBRATION, RANGE

from tradingsignals.v1 import (
    bar_pb2,
    error_reason_pb2,
    event_pb2,
    model_pb2,
    position_pb2,
    signal_pb2,
    statistics_pb2,
)
from tradingsignals_server.adapters.placeholder_policy import PlaceholderPolicy
from tradingsignals_server.api.mapping import from_proto, log_encoding, to_proto
from tradingsignals_server.application.decision.prefetch import InferenceMeter
from tradingsignals_server.application.decision.trader import Trader
from tradingsignals_server.application.health import Health, Status, SymbolHealth
from tradingsignals_server.application.ports.policy import PolicyDescription, TensorShape
from tradingsignals_server.application.ports.store import SignalTotals
from tradingsignals_server.domain.bars import EARLIEST_TIME, Bar
from tradingsignals_server.domain.costs import Charge, Charges
from tradingsignals_server.domain.errors import BarConflict, InvalidBar
from tradingsignals_server.domain.events import Disposition, EventKind, MarketUpdate, Receipt
from tradingsignals_server.domain.features import M5_V1
from tradingsignals_server.domain.indicators import Indicators
from tradingsignals_server.domain.intervals import INTERVALS, Intervals, default_interval
from tradingsignals_server.domain.positions import Exit, ExitReason, close
from tradingsignals_server.domain.recurrent_state import ResetRule
from tradingsignals_server.domain.risk import RiskRules
from tradingsignals_server.domain.signals import Action, MarketRegime, Origin, Signal, TrendDirection, WinEstimate
from tradingsignals_server.domain.statistics import PositionCounts, SignalCounts, Statistics
from tradingsignals_server.domain.symbols import parse_symbol

ENUMS: Sequence[tuple[type[StrEnum], Any]] = [
    (Action, signal_pb2.Signal.Action),
    (Origin, signal_pb2.Signal.Origin),
    (MarketRegime, signal_pb2.Signal.MarketRegime),
    (TrendDirection, signal_pb2.Signal.TrendDirection),
    (ExitReason, position_pb2.Position.ExitReason),
    (Disposition, bar_pb2.BarReceipt.Disposition),
    (EventKind, event_pb2.Event.Kind),
]


@pytest.mark.parametrize(("domain", "contract"), ENUMS, ids=lambda one: getattr(one, "__name__", ""))
def test_domain_and_contract_have_the_same_enum_names(domain: type[StrEnum], contract: Any) -> None:
    first, *names = contract.keys()
    assert contract.Value(first) == 0
    assert first.endswith("_UNSPECIFIED")
    assert set(names) == {member.value for member in domain}


def unset(message: Any) -> set[str]:
    """Fields of a message that are at their default, presence and all."""
    present = {field.name for field, _ in message.ListFields()}
    return {field.name for field in message.DESCRIPTOR.fields} - present


# ------------------------------------------------------------------------------------------------------- signals

INDICATORS = Indicators(
    rsi=1.0,
    macd=2.0,
    macd_signal=3.0,
    macd_histogram=4.0,
    macd_histogram_before=99.0,
    bb_upper=5.0,
    bb_middle=6.0,
    bb_lower=7.0,
    ema_20=8.0,
    ema_50=9.0,
    atr=10.0,
    volatility=11.0,
    window_volatility=98.0,
)
CONFIDENT = signal(price=4000.0, atr=10.0)
WHOLE = replace(
    CONFIDENT,
    decision=replace(CONFIDENT.decision, win=WinEstimate(0.55, 40)),
    indicators=INDICATORS,
    simulated=True,
    market_regime=MarketRegime.VOLATILE,
    trend_direction=TrendDirection.DOWN,
    model_failed=True,
    latency_ms=1.5,
    timestamp=NOW + timedelta(microseconds=1),
)


def test_every_field_of_a_signal_is_set() -> None:
    message = to_proto.signal_message(WHOLE, 77)
    assert unset(message) == set()
    assert message.signal_id == "00000000-0000-0000-0000-000000000001"
    assert message.timestamp.ToDatetime(UTC) == WHOLE.timestamp
    assert message.bar_time.ToDatetime(UTC) == WHOLE.bar_time
    assert message.valid_until.ToDatetime(UTC) == WHOLE.valid_until
    assert (message.symbol, message.sequence, message.simulated, message.model_failed) == ("USDCOP", 77, True, True)
    assert message.action == signal_pb2.Signal.BUY
    assert (message.confidence, message.entry_price) == (0.9, 4000.0)
    assert (message.win_probability, message.win_probability_cases) == (0.55, 40)
    assert (message.stop_loss, message.take_profit, message.risk_reward_ratio) == (3980.0, 4030.0, 1.5)
    assert message.position_size == 0.02
    assert list(message.reasoning) == list(WHOLE.decision.reasoning)
    assert (message.model_version, message.model_type, message.latency_ms) == ("v1", "test", 1.5)
    assert message.market_regime == signal_pb2.Signal.VOLATILE
    assert message.trend_direction == signal_pb2.Signal.DOWN
    assert message.origin == signal_pb2.Signal.BAR
    assert (message.probabilities.hold, message.probabilities.buy, message.probabilities.sell) == (0.05, 0.9, 0.05)


def test_indicators_keep_their_names() -> None:
    factors = to_proto.signal_message(WHOLE, 1).technical_factors
    sent = {field.name: value for field, value in factors.ListFields()}
    names = ["rsi", "macd", "macd_signal", "macd_histogram", "bb_upper", "bb_middle", "bb_lower"]
    names += ["ema_20", "ema_50", "atr", "volatility"]
    assert sent == {name: float(n) for n, name in enumerate(names, 1)}
    assert set(sent) == set(factors.DESCRIPTOR.fields_by_name)


def test_absent_values_of_a_hold_stay_absent() -> None:
    bare = replace(signal(Action.HOLD), indicators=Indicators(), bar_time=None)
    message = to_proto.signal_message(bare, 1)
    levels = ("stop_loss", "take_profit", "risk_reward_ratio", "win_probability", "win_probability_cases")
    for absent in (*levels, "market_regime", "trend_direction", "bar_time"):
        assert not message.HasField(absent), absent
    assert message.technical_factors.ListFields() == []
    assert message.position_size == 0.0
    assert message.reasoning
    assert message.HasField("valid_until")


def test_signal_of_an_earlier_version_is_without_valid_until() -> None:
    assert not to_proto.signal_message(replace(WHOLE, valid_until=None), 1).HasField("valid_until")


def test_indicator_of_zero_is_present() -> None:
    factors = to_proto.signal_message(replace(signal(), indicators=Indicators(rsi=0.0, atr=0.0)), 1).technical_factors
    assert factors.HasField("rsi")
    assert factors.HasField("atr")
    assert not factors.HasField("macd")


@pytest.mark.parametrize("action", list(Action))
@pytest.mark.parametrize("origin", list(Origin))
def test_every_action_and_origin_is_converted(action: Action, origin: Origin) -> None:
    message = to_proto.signal_message(signal(action, origin=origin), 1)
    assert signal_pb2.Signal.Action.Name(message.action) == action
    assert signal_pb2.Signal.Origin.Name(message.origin) == origin


# ----------------------------------------------------------------------------------------------------- positions


def test_every_field_of_an_open_position_is_set() -> None:
    held = replace(
        position(Action.SELL),
        simulated=True,
        pnl=1.0,
        pnl_pct=2.0,
        pnl_account=3.0,
        costs=4.0,
        r_multiple=5.0,
        max_favorable_excursion=6.0,
        max_adverse_excursion=7.0,
        bars_held=8,
        current_price=9.0,
        stop_loss=101.0,
    )
    message = to_proto.position_message(held, 55)
    assert unset(message) == {"exit_time", "exit_price", "exit_reason", "exit_signal_id"}
    assert (message.position_id, message.signal_id) == (str(held.position_id), str(held.signal_id))
    assert message.status == position_pb2.Position.OPEN
    assert message.action == signal_pb2.Signal.SELL
    assert message.entry_time.ToDatetime(UTC) == OPENING
    assert (message.entry_price, message.take_profit) == (100.0, 97.0)
    assert (message.stop_loss, message.initial_stop_loss) == (101.0, 102.0)
    assert (message.current_pnl, message.current_pnl_pct, message.current_pnl_account) == (1.0, 2.0, 3.0)
    assert (message.costs, message.r_multiple, message.bars_held, message.current_price) == (4.0, 5.0, 8, 9.0)
    assert (message.max_favorable_excursion, message.max_adverse_excursion) == (6.0, 7.0)
    assert (message.sequence, message.simulated, message.symbol) == (55, True, "USDCOP")
    assert message.position_size == held.position_size


@pytest.mark.parametrize("reason", list(ExitReason))
def test_closed_position_has_its_exit_and_reason(reason: ExitReason) -> None:
    by = UUID(int=9) if reason is ExitReason.REVERSED else None
    message = to_proto.position_message(close(position(), Exit(NOW, 101.5, reason, by), RiskRules()), 1)
    assert message.status == position_pb2.Position.CLOSED
    assert (message.exit_price, message.exit_time.ToDatetime(UTC)) == (101.5, NOW)
    assert position_pb2.Position.ExitReason.Name(message.exit_reason) == reason
    assert message.HasField("exit_signal_id") == (by is not None)
    assert message.exit_signal_id == (str(by) if by else "")


# ----------------------------------------------------------------------------------------------- bars and their results

DAY = timedelta(days=1)
prices = st.floats(1e-6, 1e9)


@st.composite
def bars(draw: st.DrawFn) -> Bar:
    low, one, other, high = sorted(draw(prices) for _ in range(4))
    symbol = parse_symbol(draw(st.from_regex(r"\A[A-Z0-9][A-Z0-9._-]{1,19}\Z")))
    interval = draw(st.sampled_from(list(INTERVALS.values())))
    time = EARLIEST_TIME + draw(st.integers(0, 7000 * DAY // interval)) * interval
    return Bar(symbol, time, one, high, low, other, draw(st.floats(0.0, 1e12)), interval=interval)


@given(bars())
def test_bar_survives_a_round_trip(one: Bar) -> None:
    sent = to_proto.bar_message(one).SerializeToString()
    assert from_proto.bar_of(bar_pb2.Bar.FromString(sent), lambda _: one.interval) == one


def test_bar_without_an_interval_has_that_of_its_symbol() -> None:
    message = to_proto.bar_message(bar(0, symbol="BTCUSDT"))
    message.ClearField("interval")
    found = from_proto.bar_of(message, Intervals.parse("BTC/USDT=1h").of)
    assert found.interval == timedelta(hours=1)
    assert found.close_time - found.time == timedelta(hours=1)


@pytest.mark.parametrize("sent", ["5m", "7m", "x" * 100_000])
def test_bar_of_another_interval_than_that_of_its_symbol_is_refused(sent: str) -> None:
    message = to_proto.bar_message(bar(0, symbol="BTCUSDT"))
    message.interval = sent
    with pytest.raises(InvalidBar, match=r"and bars of BTCUSDT are of 1h$") as caught:
        from_proto.bar_of(message, Intervals.parse("BTCUSDT=1h").of)
    assert [violation.field for violation in caught.value.violations] == ["interval"]


def test_pair_with_a_slash_is_normalised() -> None:
    message = to_proto.bar_message(bar(0))
    message.symbol = "USD/COP"
    assert from_proto.bar_of(message, default_interval).symbol == "USDCOP"


def refused(**change: object) -> set[str]:
    """The fields that a sound message with a change is refused for."""
    message = to_proto.bar_message(bar(0, 100.0, high=102.0, low=99.0, close=101.0))
    for name, value in change.items():
        if isinstance(value, Timestamp):
            message.time.CopyFrom(value)
        elif value is None:
            message.ClearField(name)
        else:
            setattr(message, name, value)
    with pytest.raises(InvalidBar) as caught:
        from_proto.bar_of(message, default_interval)
    return {violation.field for violation in caught.value.violations}


def time(delta: timedelta = timedelta(), nanos: int = 0) -> Timestamp:
    return Timestamp(seconds=int((OPENING + delta).timestamp()), nanos=nanos)


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ({"symbol": ""}, {"symbol"}),
        ({"symbol": "usd cop"}, {"symbol"}),
        ({"symbol": "A" * 1_000_000}, {"symbol"}),
        ({"time": None}, {"time"}),
        ({"time": Timestamp()}, {"time"}),
        ({"time": Timestamp(seconds=2**62)}, {"time"}),
        ({"time": Timestamp(seconds=-(2**62))}, {"time"}),
        ({"time": time(nanos=-1)}, {"time"}),
        ({"time": time(nanos=2**31 - 1)}, {"time"}),
        ({"time": time(nanos=1000)}, {"time"}),
        ({"time": time(nanos=1)}, {"time"}),
        ({"time": time(timedelta(seconds=1))}, {"time"}),
        ({"symbol": "", "time": None}, {"symbol", "time"}),
        ({"open": math.nan}, {"open"}),
        ({"high": math.inf}, {"high"}),
        ({"low": -1.0}, {"low"}),
        ({"close": 0.0}, {"close"}),
        ({"close": None}, {"close"}),
        ({"high": 98.0}, {"high"}),
        ({"volume": -1.0}, {"volume"}),
        ({"symbol": "", "close": math.nan}, {"symbol", "close"}),
    ],
)
def test_invalid_bar_is_refused_with_its_fields(change: dict[str, object], fields: set[str]) -> None:
    assert refused(**change) == fields


def test_missing_volume_is_zero() -> None:
    message = to_proto.bar_message(bar(0))
    message.ClearField("volume")
    assert from_proto.bar_of(message, default_interval).volume == 0.0


@pytest.mark.parametrize("disposition", list(Disposition))
def test_receipt_has_its_disposition_and_signal(disposition: Disposition) -> None:
    name = UUID(int=3) if disposition is Disposition.ACCEPTED else None
    message = to_proto.receipt_message(Receipt("USDCOP", OPENING, disposition, name, 12))
    assert bar_pb2.BarReceipt.Disposition.Name(message.disposition) == disposition
    assert (message.symbol, message.through_sequence) == ("USDCOP", 12)
    assert message.time.ToDatetime(UTC) == OPENING
    assert message.HasField("signal_id") == (name is not None)


def test_rejection_has_the_index_and_reason_of_its_bar() -> None:
    message = to_proto.rejection_message(5, to_proto.bar_message(bar(0)), BarConflict("USDCOP", OPENING))
    assert (message.index, message.symbol, message.reason) == (5, "USDCOP", "BAR_CONFLICT")
    assert message.message == "a different bar of USDCOP at 2024-03-04T13:00:00Z is stored; bars never change"
    assert message.time.ToDatetime(UTC) == OPENING
    assert not to_proto.rejection_message(0, bar_pb2.Bar(), BarConflict("", OPENING)).HasField("time")
    assert error_reason_pb2.ErrorReason.Value(message.reason)


@pytest.mark.parametrize(
    ("event", "type_"),
    [
        (signal(), signal_pb2.Signal),
        (position(), position_pb2.Position),
        (MarketUpdate(bar(0), Disposition.LATE), event_pb2.MarketUpdate),
    ],
)
def test_events_are_encoded_with_their_sequence(event: Any, type_: Any) -> None:
    message = type_.FromString(log_encoding.encode(event, 42))
    if isinstance(event, MarketUpdate):
        assert message.disposition == bar_pb2.BarReceipt.LATE
        assert from_proto.bar_of(message.bar, default_interval) == event.bar
    else:
        assert message == (
            to_proto.signal_message(event, 42) if isinstance(event, Signal) else to_proto.position_message(event, 42)
        )
        assert message.sequence == 42


@given(st.timedeltas(timedelta(0), timedelta(days=70_000)).map(lambda age: EARLIEST_TIME + age))
def test_times_keep_their_microseconds(moment: datetime) -> None:
    assert to_proto.timestamp(moment).ToDatetime(UTC) == moment


# ------------------------------------------------------------------------------------------------ reports of state


def test_statistics_keep_their_names() -> None:
    found = Statistics(
        SignalCounts(total=10, buy=2, sell=3, hold=5, simulated=4, avg_latency_ms=1.25),
        PositionCounts(opened=7, closed=4, winning=3, losing=1, total_pnl=8.0, total_pnl_account=9.0),
        bars_stored=100,
        symbols=2,
    )
    rules = RiskRules(
        confidence_threshold=0.7,
        min_risk_reward=1.2,
        position_size_pct=0.03,
        spread=Charges.parse("USDCOP=1,*=2bp", Charge()),
        commission=Charges.parse("EURUSD=0.5bp", Charge()),
        slippage=Charges.parse("GBPUSD=1bp", Charge(0.5, in_bp=True)),
    )
    message = to_proto.statistics_message(found, rules, model_loaded=True)
    assert message == statistics_pb2.Statistics(
        inference=statistics_pb2.InferenceStatistics(total_inferences=10, avg_latency_ms=1.25, model_loaded=True),
        signals=statistics_pb2.SignalStatistics(
            signals_generated=10,
            confidence_threshold=0.7,
            min_risk_reward=1.2,
            position_size_pct=0.03,
            buy_signals=2,
            sell_signals=3,
            hold_signals=5,
            simulated_signals=4,
        ),
        positions=statistics_pb2.PositionStatistics(
            total_signals=5,
            total_positions_opened=7,
            total_positions_closed=4,
            active_positions=3,
            total_pnl=8.0,
            avg_pnl=2.0,
            winning_positions=3,
            losing_positions=1,
            win_rate=75.0,
            total_pnl_account=9.0,
            costs=[
                statistics_pb2.TradingCosts(symbol="EURUSD", spread="2bp", commission="0.5bp", slippage="0.5bp"),
                statistics_pb2.TradingCosts(symbol="GBPUSD", spread="2bp", commission="0", slippage="1bp"),
                statistics_pb2.TradingCosts(symbol="USDCOP", spread="1", commission="0", slippage="0.5bp"),
                statistics_pb2.TradingCosts(symbol="*", spread="2bp", commission="0", slippage="0.5bp"),
            ],
        ),
        market_data=statistics_pb2.MarketDataStatistics(bars_stored=100, symbols=2),
    )


def test_rates_without_closed_positions_are_zero() -> None:
    counts = PositionCounts(opened=1, closed=0, winning=0, losing=0, total_pnl=0.0, total_pnl_account=0.0)
    assert (counts.active, counts.avg_pnl, counts.win_rate) == (1, 0.0, 0.0)


def trader_of(described: PolicyDescription, meter: InferenceMeter) -> Trader:
    """A trader that has worked a while with the policy described."""
    policy = PlaceholderPolicy()
    policy.description = described
    trader = Trader(policy, RiskRules())
    trader.meter = meter
    return trader


def test_model_message_describes_a_model_or_the_placeholder() -> None:
    tensor = TensorShape("observation", "tensor(float)", (-1, 16))
    trained = (datetime(2020, 1, 2, tzinfo=UTC), datetime(2023, 6, 30, tzinfo=UTC))
    model = PolicyDescription(
        version="v1",
        type="PPO-LSTM",
        mode="onnx",
        name="usdcop",
        reset=ResetRule.SESSION,
        layers=2,
        hidden_size=64,
        training_range=trained,
        win_calibration=CALIBRATION,
        git_revision="cd34",
        providers=("CPU",),
        inputs=(tensor,),
        outputs=(tensor, tensor),
        file_sha256="ab12",
        interval=timedelta(hours=1),
        actions=(Action.SELL, Action.BUY),
        output="action_values",
        feature_expressions=("rsi(14)",),
        frame_stack=4,
    )
    meter = InferenceMeter(failures=1)
    meter.add(3, 0.75)
    meter.add(1, 1.25)
    message = to_proto.model_message(trader_of(model, meter), ["v0", "v1"])
    assert unset(message) == set()
    assert (message.loaded, message.version, message.mode, message.type) == (True, "v1", "onnx", "PPO-LSTM")
    assert (message.inference_count, message.avg_latency_ms, message.lookback_bars) == (4, 0.5, 100)
    assert message.inputs[0] == model_pb2.Tensor(name="observation", type="tensor(float)", shape=[-1, 16])
    assert len(message.outputs) == 2
    assert list(message.feature_names) == list(M5_V1.names)
    assert (message.file_sha256, list(message.providers)) == ("ab12", ["CPU"])
    assert (message.p50_latency_ms, message.p99_latency_ms) == (0.25, 1.25)
    assert list(message.available_versions) == ["v0", "v1"]
    assert (message.name, message.recurrent_reset, message.git_revision) == ("usdcop", "session", "cd34")
    assert (message.recurrent_layers, message.recurrent_size, message.failure_count) == (2, 64, 1)
    assert [end.ToDatetime(UTC) for end in (message.training_start, message.training_end)] == list(trained)
    calibrated = message.win_calibration
    assert (calibrated.start.ToDatetime(UTC), calibrated.end.ToDatetime(UTC)) == RANGE
    assert (calibrated.buy_cases, calibrated.sell_cases) == (160, 39)
    assert (message.interval_seconds, message.output, message.frame_stack) == (3600, "action_values", 4)
    assert (list(message.actions), list(message.feature_expressions)) == (["SELL", "BUY"], ["rsi(14)"])
    assert message.observation_size == 16
    bare = to_proto.model_message(Trader(PlaceholderPolicy(), RiskRules()))
    assert not bare.loaded
    assert not bare.HasField("win_calibration")
    assert not bare.HasField("file_sha256")


def test_health_report_has_every_field() -> None:
    health = Health(
        status=Status.DEGRADED,
        timestamp=NOW,
        model_loaded=True,
        database_connected=True,
        uptime_seconds=12.5,
        totals=SignalTotals(3, OPENING),
        warnings=("something",),
        symbols=(SymbolHealth("USDCOP", OPENING, 2, stale=True), SymbolHealth("EURUSD", None, 0, stale=False)),
        symbol_count=9_000,
        of_concern=(SymbolHealth("USDCOP", OPENING, 2, stale=True), SymbolHealth("EURUSD", OPENING, 3, stale=False)),
        last_commit=OPENING,
        halted="halted by hand (news)",
    )
    message = to_proto.health_message(health, "service", "1.0")
    assert unset(message) == set()
    assert (message.status, message.service, message.version) == ("degraded", "service", "1.0")
    assert (message.uptime_seconds, message.total_signals_generated) == (12.5, 3)
    assert message.timestamp.ToDatetime(UTC) == NOW
    assert message.last_signal_timestamp.ToDatetime(UTC) == OPENING
    assert [(s.symbol, s.missing_bars, s.stale, s.HasField("last_bar_time")) for s in message.symbols] == [
        ("USDCOP", 2, True, True),
        ("EURUSD", 0, False, False),
    ]
    assert (message.symbol_count, message.stale_symbols) == (9_000, 1)
    assert message.last_commit_time.ToDatetime(UTC) == OPENING
    assert (message.trading_halted, message.trading_halt_reason) == (True, "halted by hand (news)")
    quiet = to_proto.health_message(replace(health, totals=SignalTotals(0, None), last_commit=None), "service", "1.0")
    assert not quiet.HasField("last_commit_time")
    assert not quiet.HasField("last_signal_timestamp")
