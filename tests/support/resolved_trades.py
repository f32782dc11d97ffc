"""Resolved trades and equity curves, for tests of statistics."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta

import numpy as np
from hypothesis import strategies as st

from tradingsignals_server.domain.performance.equity import EquityCurve, SessionEquity
from tradingsignals_server.domain.performance.trades import Trade
from tradingsignals_server.domain.signals import Action, Origin

FIRST_DAY = date(2025, 6, 2)
"""A Monday."""

EQUITY = 10_000.0


def resolved_trade(
    net_pct: float = 0.1,
    *,
    session: int = 0,
    minute: int = 0,
    size: float = 0.02,
    action: Action = Action.BUY,
    symbol: str = "USDCOP",
    confidence: float = 0.7,
    win_probability: float | None = None,
    model_version: str = "v1",
    origin: Origin = Origin.BAR,
    resolution: str = "STOP",
) -> Trade:
    """Return a trade of 30 minutes that begins `minute` minutes after 13:00 UTC of a session; one R is 0.1%."""
    day = FIRST_DAY + timedelta(days=session)
    entry = datetime(day.year, day.month, day.day, 13, tzinfo=UTC) + timedelta(minutes=minute)
    return Trade(
        symbol=symbol,
        action=action,
        entry_time=entry,
        exit_time=entry + timedelta(minutes=30),
        session_day=day,
        size=size,
        gross_pct=net_pct + 0.02,
        net_pct=net_pct,
        pnl=EQUITY * size * net_pct / 100.0,
        r_multiple=net_pct / 0.1,
        mfe_r=max(net_pct / 0.1, 0.0),
        mae_r=max(-net_pct / 0.1, 0.0),
        confidence=confidence,
        win_probability=win_probability,
        model_version=model_version,
        origin=origin,
        resolution=resolution,
    )


def trades_of(results: Iterable[float]) -> tuple[Trade, ...]:
    """Return one trade a session, of these net results in percent."""
    return tuple(resolved_trade(net, session=session) for session, net in enumerate(results))


def equity_curve(
    equity: Sequence[float], *, bars_per_session: int = 1, exposure: Sequence[float] = (), initial: float = EQUITY
) -> EquityCurve:
    """Return a curve of bars of five minutes from 13:00 UTC of each session on."""
    times = []
    for at in range(len(equity)):
        day = FIRST_DAY + timedelta(days=at // bars_per_session)
        opening = datetime(day.year, day.month, day.day, 13, tzinfo=UTC)
        times.append(opening + timedelta(minutes=5 * (at % bars_per_session + 1)))
    return EquityCurve(
        initial_equity=initial,
        started=datetime(FIRST_DAY.year, FIRST_DAY.month, FIRST_DAY.day, 13, tzinfo=UTC),
        times=tuple(times),
        session_days=tuple(time.date() for time in times),
        equity=tuple(equity),
        exposure=tuple(exposure) or (0.0,) * len(equity),
    )


def session_equity(returns: Sequence[float], initial: float = EQUITY) -> SessionEquity:
    """Return the equity of sessions with these returns, one a day."""
    equity = initial * np.cumprod(1.0 + np.array(returns))
    days = tuple(FIRST_DAY + timedelta(days=at) for at in range(len(returns)))
    return SessionEquity(initial, days, tuple(equity.tolist()))


def noisy_returns(sessions: int, seed: int = 1) -> list[float]:
    """Return returns of sessions: a small drift, and noise of 1%."""
    return [float(value) for value in np.random.default_rng(seed).normal(0.0005, 0.01, sessions)]


some_trades = st.lists(
    st.builds(
        resolved_trade,
        st.integers(-40, 40).map(lambda n: n / 64),
        session=st.integers(0, 29),
        minute=st.integers(0, 240),
        size=st.sampled_from([0.01, 0.02, 0.05]),
        action=st.sampled_from([Action.BUY, Action.SELL]),
        symbol=st.sampled_from(["USDCOP", "EURUSD"]),
        confidence=st.floats(0.0, 1.0),
        win_probability=st.none() | st.floats(0.0, 1.0),
        model_version=st.sampled_from(["v1", "v2"]),
        origin=st.sampled_from(list(Origin)),
        resolution=st.sampled_from(["TARGET", "STOP", "TIME_LIMIT"]),
    ),
    max_size=40,
)
"""Trades of any result over 30 sessions."""
