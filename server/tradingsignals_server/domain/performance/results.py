"""Figures of trades: counts, win rate, profit factor, expectancy, payoff and streaks.

Each is a function of sums over trades. The sums of each session are taken once; a resample is a weighted sum of them,
so one formula gives the figure and its interval.
"""

from __future__ import annotations

import numpy as np

from ..values import dataclass
from .bootstrap import percentile_interval
from .figures import Figure, defined
from .trades import FloatArray, IntArray, Trade, TradeColumns


@dataclass(frozen=True, slots=True, eq=False)
class TradeSums:
    """Sums over trades, of shape () for all of them, (sessions,) or (resamples,)."""

    trades: FloatArray
    wins: FloatArray
    losses: FloatArray
    gains: FloatArray
    losses_amount: FloatArray
    r: FloatArray
    win_r: FloatArray
    loss_r: FloatArray
    net_pct: FloatArray
    gross_pct: FloatArray
    mfe_r: FloatArray
    mae_r: FloatArray


def trade_terms(columns: TradeColumns) -> FloatArray:
    """Return what each trade adds to the fields of TradeSums, shape (trades, fields)."""
    terms = (
        np.ones(len(columns.session)),
        columns.won,
        columns.lost,
        columns.won * columns.pnl,
        -columns.lost * columns.pnl,
        columns.r_multiple,
        columns.won * columns.r_multiple,
        columns.lost * columns.r_multiple,
        columns.net_pct,
        columns.gross_pct,
        columns.mfe_r,
        columns.mae_r,
    )
    return np.stack(terms, axis=-1)


def session_sums(terms: FloatArray, session: IntArray, sessions: int) -> FloatArray:
    """Return the sums of each session, shape (sessions, fields of TradeSums).

    Args:
        terms: of the trades that count, from `trade_terms`.
        session: the index of their sessions.
        sessions: number of sessions, those without such trades included.
    """
    return np.stack([np.bincount(session, term, sessions) for term in terms.T], axis=-1)


def _ratios(sums: TradeSums) -> dict[str, FloatArray]:
    """Return the estimates of `sums`, NaN or infinite where they are undefined."""
    average_win, average_loss = sums.gains / sums.wins, 0.0 - sums.losses_amount / sums.losses
    return {
        "win_rate_pct": 100.0 * sums.wins / sums.trades,
        "profit_factor": sums.gains / sums.losses_amount,
        "expectancy": (sums.gains - sums.losses_amount) / sums.trades,
        "expectancy_r": sums.r / sums.trades,
        "expectancy_pct": sums.net_pct / sums.trades,
        "average_win": average_win,
        "average_loss": average_loss,
        "average_win_r": sums.win_r / sums.wins,
        "average_loss_r": sums.loss_r / sums.losses,
        "payoff": average_win / -average_loss,
        "average_cost_pct": (sums.gross_pct - sums.net_pct) / sums.trades,
        "average_mfe_r": sums.mfe_r / sums.trades,
        "average_mae_r": sums.mae_r / sums.trades,
    }


def result_figures(sessions: FloatArray, weights: FloatArray) -> dict[str, Figure]:
    """Return the counts and estimates of trades.

    Args:
        sessions: the sums of each session, from `session_sums`.
        weights: how often each resample drew each session, shape (resamples, sessions).
    """
    total = TradeSums(*sessions.sum(axis=0))
    resampled = TradeSums(*(weights @ sessions).T) if len(weights) else None
    with np.errstate(divide="ignore", invalid="ignore"):
        values = _ratios(total)
        samples = {} if resampled is None else _ratios(resampled)
    counts = {name: int(count) for name, count in zip(_COUNTED, (total.trades, total.wins, total.losses), strict=True)}
    trades = counts["trades"]
    cases = {"average_win": counts["wins"], "average_win_r": counts["wins"]}
    cases |= {"average_loss": counts["losses"], "average_loss_r": counts["losses"]}
    figures = {name: Figure(float(count), trades) for name, count in counts.items()}
    figures["breakeven"] = Figure(float(trades - counts["wins"] - counts["losses"]), trades)
    figures["pnl"] = Figure(float(total.gains - total.losses_amount), trades)
    for name, value in values.items():
        known = defined(float(value))
        interval = percentile_interval(samples[name]) if samples and known is not None else None
        figures[name] = Figure(known, cases.get(name, trades), interval)
    return figures


_COUNTED = ("trades", "wins", "losses")


def streak_figures(trades: tuple[Trade, ...]) -> dict[str, Figure]:
    """Return the longest runs of wins and of losses in `trades`, which are in the order of exit."""
    longest, current, before = {1: 0, -1: 0, 0: 0}, 0, 0
    for trade in trades:
        side = trade.won - trade.lost
        current = current + 1 if side == before else 1
        longest[side], before = max(longest[side], current), side
    known = {"longest_win_streak": longest[1], "longest_loss_streak": longest[-1]}
    return {name: Figure(float(run) if trades else None, len(trades)) for name, run in known.items()}
