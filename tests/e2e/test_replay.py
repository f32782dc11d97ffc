"""Bars of a file, published by the replay command, and the tables computed again from them."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator
from datetime import date, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import talib
from tests.support.bars import write_csv
from tests.support.builders import feed_bars
from tests.support.commands import run
from tests.support.folders import scratch_folder
from tests.support.recount import session_day, trades_of
from tests.support.service import RunningService, running_service
from tests.support.tables import Rows, Tables, assert_same, tables_of

from tradingsignals.v1.event_pb2 import MarketUpdate
from tradingsignals.v1.position_pb2 import Position
from tradingsignals.v1.signal_pb2 import Signal

BARS = 7500
SPREAD, COMMISSION_PCT, SLIPPAGE, EQUITY = 0.5, 0.002, 0.25, 250_000.0
THRESHOLD = 0.45  # low enough for the policy to reverse positions in these bars
WARM, WINDOW = 50, 100


@pytest.fixture(scope="module")
def file() -> Any:
    """Bars of an uneven feed, compressed."""
    with scratch_folder() as folder:
        path = write_csv(folder / "usdcop.csv.gz", feed_bars(date(2020, 1, 2), date(2020, 7, 31))[:BARS])
        path.write_bytes(gzip.compress(path.read_bytes()))
        yield path


@pytest.fixture(scope="module")
async def replayed(file: Path) -> AsyncIterator[RunningService]:
    """A service to which the file has been published."""
    rules = {
        "SPREAD": str(SPREAD),
        "COMMISSION_PCT": str(COMMISSION_PCT),
        "SLIPPAGE": str(SLIPPAGE),
        "INITIAL_EQUITY": str(EQUITY),
        "CONFIDENCE_THRESHOLD": str(THRESHOLD),
    }
    with scratch_folder() as folder:
        async with running_service(folder, **rules) as service:
            ended = await run("replay", file, "--address", service.address)
            assert ended.code == 0, ended.output
            yield service


@pytest.fixture(scope="module")
async def tables(replayed: RunningService) -> Tables:
    """The tables of that service."""
    async with replayed.database() as database:
        return await tables_of(database)


def in_sessions(bars: Rows) -> Rows:
    return [bar for bar in bars if session_day(bar["time"]) is not None]


def test_every_bar_of_the_file_is_stored_once(tables: Tables, file: Path) -> None:
    with gzip.open(file, "rt") as lines:
        next(lines)
        rows = [line.rstrip().split(",") for line in lines]
    assert len(tables["bars"]) == len(rows) == BARS
    for bar, (time, symbol, *numbers) in zip(tables["bars"], rows, strict=True):
        assert (bar["time"].strftime("%Y-%m-%dT%H:%M:%SZ"), bar["symbol"]) == (time, symbol)
        assert [bar[name] for name in ("open", "high", "low", "close", "volume")] == [float(n) for n in numbers]


def test_every_warm_session_bar_has_a_signal(tables: Tables) -> None:
    bars = in_sessions(tables["bars"])
    assert [bar["disposition"] for bar in bars] == ["WARMING_UP"] * (WARM - 1) + ["ACCEPTED"] * (len(bars) - WARM + 1)
    outside = [bar for bar in tables["bars"] if session_day(bar["time"]) is None]
    assert {bar["disposition"] for bar in outside} == {"OUTSIDE_SESSION"}
    assert [signal["bar_time"] for signal in tables["signals"]] == [bar["time"] for bar in bars[WARM - 1 :]]
    for signal, bar in zip(tables["signals"], bars[WARM - 1 :], strict=True):
        assert signal["timestamp"] == bar["time"] + timedelta(minutes=5)
        assert signal["entry_price"] == bar["close"]
        assert (signal["origin"], signal["simulated"]) == ("BAR", True)


def test_indicators_equal_those_of_talib(tables: Tables) -> None:
    bars = in_sessions(tables["bars"])
    highs, lows, closes = (np.array([bar[name] for bar in bars]) for name in ("high", "low", "close"))
    for number, signal in enumerate(tables["signals"], WARM):
        start = max(0, number - WINDOW)
        high, low, close = highs[start:number], lows[start:number], closes[start:number]
        line, smoothed, histogram = talib.MACD(close)
        upper, middle, lower = talib.BBANDS(close, 20)
        expected = {
            "rsi": talib.RSI(close)[-1],
            "atr": talib.ATR(high, low, close)[-1],
            "macd": line[-1],
            "macd_signal": smoothed[-1],
            "macd_histogram": histogram[-1],
            "bb_upper": upper[-1],
            "bb_middle": middle[-1],
            "bb_lower": lower[-1],
            "ema_20": talib.EMA(close, 20)[-1],
            "ema_50": talib.EMA(close, 50)[-1],
        }
        assert {name: signal[name] for name in expected} == expected, signal["bar_time"]
        deviation = np.diff(np.log(close))[-20:].std()
        assert signal["volatility"] == pytest.approx(deviation, rel=1e-6, abs=1e-12)


def test_levels_are_bit_identical_to_their_formula(tables: Tables) -> None:
    for signal in tables["signals"]:
        assert signal["hold_probability"] + signal["buy_probability"] + signal["sell_probability"] == pytest.approx(1.0)
        if signal["action"] == "HOLD":
            assert signal["stop_loss"] is signal["take_profit"] is signal["risk_reward_ratio"] is None
            assert signal["position_size"] == 0
            continue
        side = 1 if signal["action"] == "BUY" else -1
        assert signal["confidence"] == signal["buy_probability" if side > 0 else "sell_probability"] >= THRESHOLD
        assert signal["stop_loss"] == signal["entry_price"] - side * signal["atr"] * 2.0
        assert signal["take_profit"] == signal["entry_price"] + side * signal["atr"] * 3.0
        assert signal["risk_reward_ratio"] == 1.5
        assert signal["position_size"] == 0.02


def test_every_position_equals_a_recount(tables: Tables) -> None:
    expected = trades_of(tables["bars"], tables["signals"])
    assert len(tables["positions"]) == len(expected) > 300
    assert {trade.reason for trade in expected} >= {"STOP_LOSS", "TAKE_PROFIT", "SESSION_END", "REVERSED"}
    for row, trade in zip(tables["positions"], expected, strict=True):
        assert (row["signal_id"], row["entry_time"]) == (trade.signal_id, trade.entry_time)
        assert row["action"] == ("BUY" if trade.side > 0 else "SELL")
        assert (row["entry_price"], row["initial_stop_loss"], row["take_profit"], row["position_size"]) == (
            *(trade.entry, trade.stop, trade.target, trade.size),
        )
        assert (row["exit_reason"], row["exit_price"], row["exit_time"], row["exit_signal_id"]) == (
            *(trade.reason, trade.exit, trade.exit_time, trade.reversed_by),
        ), trade.entry_time
        assert row["bars_held"] == trade.bars_held
        assert row["max_favorable_excursion"] == trade.best
        assert row["max_adverse_excursion"] == trade.worst
        last = row["current_price"] if trade.exit is None else trade.exit
        at_market = 1 if trade.reason == "TAKE_PROFIT" else 2
        costs = SPREAD + COMMISSION_PCT / 100 * (trade.entry + last) + SLIPPAGE * at_market
        pnl = trade.side * (last - trade.entry) - costs
        assert row["costs"] == pytest.approx(costs, rel=1e-12)
        assert row["pnl"] == pytest.approx(pnl, rel=1e-12)
        assert row["pnl_pct"] == pytest.approx(100 * pnl / trade.entry, rel=1e-12)
        assert row["pnl_account"] == pytest.approx(pnl / last * trade.size * EQUITY, rel=1e-12)
        assert row["r_multiple"] == pytest.approx(pnl / abs(trade.entry - trade.stop), rel=1e-12)


def test_log_entries_lead_to_the_tables(tables: Tables) -> None:
    events = tables["events"]
    assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
    assert tables["event_log"][0]["last_sequence"] == len(events)
    bars = [MarketUpdate.FromString(event["payload"]).bar for event in events if event["kind"] == "MARKET_UPDATE"]
    assert [bar.time.seconds for bar in bars] == [bar["time"].timestamp() for bar in tables["bars"]]
    signals = [event["payload"] for event in events if event["kind"] == "SIGNAL"]
    assert signals == [signal["message"] for signal in tables["signals"]]
    newest: dict[str, bytes] = {}
    for event in events:
        if event["kind"] == "POSITION_UPDATE":
            newest[Position.FromString(event["payload"]).position_id] = event["payload"]
    assert newest == {str(row["position_id"]): row["message"] for row in tables["positions"]}

    # Within a bar: the bar, the change of the open position, the signal, its effect on positions.
    number = -1
    order: list[tuple[int, str]] = []
    for event in events:
        number += event["kind"] == "MARKET_UPDATE"
        order.append((number, event["kind"]))
    shapes = {tuple(kind for _, kind in group) for _, group in groupby(order, key=lambda pair: pair[0])}
    bar, signal, position = "MARKET_UPDATE", "SIGNAL", "POSITION_UPDATE"
    assert shapes <= {
        (bar,),
        (bar, position),
        (bar, signal),
        (bar, signal, position),
        (bar, position, signal),
        (bar, position, signal, position),
        (bar, position, signal, position, position),
    }


def test_messages_equal_the_columns(tables: Tables) -> None:
    for row in tables["signals"][::50]:
        message = Signal.FromString(row["message"])
        assert message.signal_id == str(row["signal_id"])
        assert Signal.Action.Name(message.action) == row["action"]
        assert list(message.reasoning) == row["reasoning"]
        assert message.technical_factors.atr == row["atr"]
        assert (message.stop_loss if message.HasField("stop_loss") else None) == row["stop_loss"]


async def test_statistics_agree_with_the_tables(replayed: RunningService, tables: Tables) -> None:
    async with replayed.rest() as rest:
        found = (await rest.get("/api/signals/statistics")).json()["statistics"]
    signals, positions = tables["signals"], tables["positions"]
    closed = [row["pnl"] for row in positions if row["status"] == "CLOSED"]
    actions = [signal["action"] for signal in signals]
    assert found["signals"] == {
        "signals_generated": len(signals),
        "confidence_threshold": THRESHOLD,
        "min_risk_reward": 1.5,
        "position_size_pct": 0.02,
        "buy_signals": actions.count("BUY"),
        "sell_signals": actions.count("SELL"),
        "hold_signals": actions.count("HOLD"),
        "simulated_signals": len(signals),
    }
    assert found["inference"]["total_inferences"] == len(signals)
    costs = found["positions"].pop("costs")
    commission, spread, slippage = f"{100 * COMMISSION_PCT:g}bp", f"{SPREAD:g}", f"{SLIPPAGE:g}"
    assert costs == [{"symbol": "*", "spread": spread, "commission": commission, "slippage": slippage}]
    assert found["positions"] == pytest.approx(
        {
            "total_signals": actions.count("BUY") + actions.count("SELL"),
            "total_positions_opened": len(positions),
            "total_positions_closed": len(closed),
            "active_positions": len(positions) - len(closed),
            "total_pnl": sum(closed),
            "avg_pnl": sum(closed) / len(closed),
            "winning_positions": sum(pnl > 0 for pnl in closed),
            "losing_positions": sum(pnl < 0 for pnl in closed),
            "win_rate": 100 * sum(pnl > 0 for pnl in closed) / len(closed),
            "total_pnl_account": sum(row["pnl_account"] for row in positions if row["status"] == "CLOSED"),
        }
    )
    assert found["market_data"] == {"bars_stored": BARS, "symbols": 1}


async def test_second_replay_changes_nothing(replayed: RunningService, tables: Tables, file: Path) -> None:
    ended = await run("replay", file, "--address", replayed.address)
    assert ended.code == 0, ended.output
    assert f"{BARS:,}" in ended.output
    async with replayed.database() as database:
        assert_same(await tables_of(database), tables)
