"""Series of a report: returns by month, and the Sharpe ratio over a rolling window of sessions."""

from __future__ import annotations

from datetime import date
from itertools import groupby

import numpy as np

from ..values import dataclass
from .equity import SessionEquity
from .figures import defined
from .returns import sharpe_of


@dataclass(frozen=True, slots=True)
class MonthlyReturn:
    """Change of equity in a calendar month, in percent of the equity before its first session."""

    year: int
    month: int
    return_pct: float
    sessions: int


@dataclass(frozen=True, slots=True)
class RollingSharpe:
    """Annualised Sharpe ratio of the window of sessions that ends at `day`; None if its returns are all equal."""

    day: date
    value: float | None


def monthly_returns(equity: SessionEquity) -> tuple[MonthlyReturn, ...]:
    """Return the months that have a session; none if the equity was ever 0 or below."""
    returns = equity.returns()
    if returns is None:
        return ()
    found, at = [], 0
    for (year, month), days in groupby(equity.days, key=lambda day: (day.year, day.month)):
        sessions = len(list(days))
        growth = float(np.prod(1.0 + returns[at : at + sessions]))
        found.append(MonthlyReturn(year, month, 100.0 * (growth - 1.0), sessions))
        at += sessions
    return tuple(found)


def rolling_sharpe(equity: SessionEquity, window: int, periods_per_year: float) -> tuple[RollingSharpe, ...]:
    """Return the Sharpe ratio at each session that ends a whole window; none if the equity was ever 0 or below.

    Args:
        equity: at the end of each session.
        window: sessions, >= 2.
        periods_per_year: sessions that a year has.

    Raises:
        ValueError: the window is shorter.
    """
    if window < 2:
        raise ValueError("a rolling Sharpe ratio needs a window of 2 sessions or more")
    returns = equity.returns()
    if returns is None or len(returns) < window:
        return ()
    ratios = sharpe_of(np.lib.stride_tricks.sliding_window_view(returns, window)) * np.sqrt(periods_per_year)
    days = equity.days[window - 1 :]
    return tuple(RollingSharpe(day, defined(float(ratio))) for day, ratio in zip(days, ratios, strict=True))
