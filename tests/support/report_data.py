"""Made-up data for reports: bars of a seeded random walk, trades on them, and the equity that these made."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from tradingsignals_server.application.report import (
    OpenTrade,
    PriceBars,
    RejectedSignals,
    ReportComparison,
    ReportData,
    ReportFact,
    ReportTrade,
)
from tradingsignals_server.domain.performance.equity import EquityCurve
from tradingsignals_server.domain.performance.summary import PerformanceSettings, performance_of
from tradingsignals_server.domain.performance.trades import Trade
from tradingsignals_server.domain.signals import Action, Origin

START = datetime(2024, 1, 2, 13, tzinfo=UTC)
BARS_A_SESSION = 60
INTERVAL = timedelta(minutes=5)
INITIAL_EQUITY = 10_000.0
ROLLING_SESSIONS = 20


def bar_times(count: int) -> list[datetime]:
    """Return opens of bars in sessions of five hours, on weekdays."""
    times: list[datetime] = []
    day = START
    while len(times) < count:
        if day.weekday() < 5:
            times += [day + at * INTERVAL for at in range(min(BARS_A_SESSION, count - len(times)))]
        day += timedelta(days=1)
    return times


def walk(symbol: str, times: Sequence[datetime], seed: int, price: float = 4000.0) -> PriceBars:
    """Return bars of a random walk with two decimals."""
    source, rows = random.Random(seed), []
    for _ in times:
        after = round(price * (1.0 + source.gauss(0.0, 0.0006)), 2)
        high = round(max(price, after) + abs(source.gauss(0.0, 1.0)), 2)
        low = round(min(price, after) - abs(source.gauss(0.0, 1.0)), 2)
        rows.append((price, high, low, after))
        price = after
    columns = tuple(zip(*rows, strict=True)) if rows else ((), (), (), ())
    return PriceBars(symbol, INTERVAL, tuple(int(time.timestamp()) for time in times), *columns)


def trades_on(
    bars: PriceBars, times: Sequence[datetime], count: int, seed: int, *, resolutions: Sequence[str]
) -> list[ReportTrade]:
    """Return trades that follow each other on the bars."""
    source, found = random.Random(seed), []
    step = max(2, len(times) // max(count, 1))
    for at in range(0, min(len(times) - step, count * step), step):
        held = source.randint(1, step)
        entry, left = bars.close[at], bars.close[at + held]
        action = Action.BUY if source.random() < 0.55 else Action.SELL
        distance = round(source.uniform(6.0, 14.0), 2)
        gross = 100.0 * action.direction * (left - entry) / entry
        net = gross - 0.004
        r = net / 100.0 * entry / distance
        trade = Trade(
            symbol=bars.symbol,
            action=action,
            entry_time=times[at] + INTERVAL,
            exit_time=times[at + held] + INTERVAL,
            session_day=times[at].date(),
            size=0.5,
            gross_pct=gross,
            net_pct=net,
            pnl=0.5 * INITIAL_EQUITY * net / 100.0,
            r_multiple=r,
            mfe_r=max(0.0, r) + source.random(),
            mae_r=max(0.0, -r) + source.random(),
            confidence=source.uniform(0.6, 0.95),
            win_probability=source.uniform(0.35, 0.65),
            model_version="7",
            origin=Origin.BAR,
            resolution=source.choice(resolutions),
        )
        stop, target = entry - action.direction * distance, entry + action.direction * 2.0 * distance
        found.append(ReportTrade(trade, entry, left, round(stop, 2), round(target, 2), held))
    return found


def equity_of(times: Sequence[datetime], trades: Sequence[ReportTrade]) -> EquityCurve:
    """Return the equity by bar: profits are booked at exits."""
    profit = dict.fromkeys(times, 0.0)
    for one in trades:
        profit[one.trade.exit_time - INTERVAL] += one.trade.pnl
    level, equity = INITIAL_EQUITY, []
    for time in times:
        level += profit[time]
        equity.append(level)
    closes = tuple(time + INTERVAL for time in times)
    return EquityCurve(
        INITIAL_EQUITY, times[0], closes, tuple(time.date() for time in times), tuple(equity), (0.0,) * len(times)
    )


def report_data(
    bars: int = 3000,
    trades: int = 120,
    symbols: Sequence[str] = ("USDCOP",),
    *,
    reason: str = "confidence … is below the threshold …",
    resolutions: Sequence[str] = ("TARGET", "STOP", "TRAILING", "SESSION_END", "REVERSED"),
    simulated: bool = False,
    placeholder: bool = False,
) -> ReportData:
    """Return a report of `bars` bars and `trades` trades of each symbol. The same arguments give the same data."""
    times = bar_times(bars)
    prices = tuple(walk(symbol, times, seed) for seed, symbol in enumerate(symbols))
    made = [
        one
        for seed, series in enumerate(prices)
        for one in trades_on(series, times, trades, seed, resolutions=resolutions)
    ]
    curve = equity_of(times, made)
    settings = PerformanceSettings(rolling_sessions=ROLLING_SESSIONS)
    compared = []
    for seed, (name, definition) in enumerate(
        (
            ("buy and hold", "one long position, held to the end"),
            ("coin", "the side of each trade by a coin"),
            ("moving average cross", "EMA 20 against EMA 50"),
        ),
        50,
    ):
        others = trades_on(walk("OTHER", times, seed), times, trades, seed, resolutions=resolutions)
        other = equity_of(times, others)
        figures = performance_of([one.trade for one in others], other, settings).figures
        compared.append(ReportComparison(name, definition, figures, other))
    last = prices[0].close[-1]
    open_trade = OpenTrade(
        symbols[0], Action.BUY, times[-3] + INTERVAL, last, last - 10.0, last + 20.0, 0.5, last + 3.0, 3.75, 0.3
    )
    return ReportData(
        title="Backtest",
        symbols=tuple(symbols),
        period=(times[0], times[-1]),
        simulated=simulated,
        placeholder=placeholder,
        currency="USD",
        facts=(
            ReportFact("Data", "Bars", f"{bars:,}"),
            ReportFact("Data", "SHA-256 of the bars", "5f" * 32),
            ReportFact("Model", "Name and version", "ppo-lstm 7"),
            ReportFact("Settings", "CONFIDENCE_THRESHOLD", "0.6"),
        ),
        performance=performance_of([one.trade for one in made], curve, settings),
        equity=curve,
        prices=prices,
        trades=tuple(made),
        open_trades=(open_trade,),
        signals={"BUY": len(made), "SELL": 0, "HOLD": bars - len(made)},
        rejections=(RejectedSignals(reason, 41, times[-1], reason.replace("…", "0.55")),),
        comparisons=tuple(compared),
        rolling_sessions=ROLLING_SESSIONS,
    )
