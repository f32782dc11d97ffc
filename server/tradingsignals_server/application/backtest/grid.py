"""Many runs on the same bars: which settings were best, what that is worth after that many runs, and in later bars.

A run over all bars tells what it made of each part, because sizes are fractions of the initial equity: profits are not
reinvested. So a walk-forward needs one run for each combination of settings, whatever the number of its splits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time

from ...domain.performance.equity import EquityCurve, SessionEquity
from ...domain.performance.figures import Figure
from ...domain.performance.selection import Trials
from ...domain.performance.summary import PerformanceSettings, figures_of
from ...domain.performance.trades import Trade
from ...domain.values import dataclass
from ...domain.wording import counted

MAX_COMBINATIONS = 10_000


@dataclass(frozen=True, slots=True)
class GridPoint:
    """The result of one combination of settings.

    settings: those that were varied, by name. sessions: equity at the end of each session. trades: those of positions.
    """

    settings: Mapping[str, str]
    figures: Mapping[str, Figure]
    sessions: SessionEquity
    trades: tuple[Trade, ...]

    @property
    def sharpe(self) -> float:
        """The annualised Sharpe ratio, minus infinity if there is none: it is what points are ranked by."""
        value = self.figures["sharpe"].value
        return -math.inf if value is None else value


@dataclass(frozen=True, slots=True)
class GridComparison:
    """All points, the best first.

    trials: the tries by which the best is deflated, None if fewer than two have a Sharpe ratio.
    deflated_sharpe: probability that the best point's true Sharpe ratio is above what the best of as many tries without
    skill is expected to have; see domain.performance.selection.
    """

    points: tuple[GridPoint, ...]
    trials: Trials | None
    deflated_sharpe: Figure


@dataclass(frozen=True, slots=True)
class Fold:
    """One split of a walk-forward: the settings that were best before it, and what they made of it.

    first_day, last_day: sessions of the test. trained_from: the first session before it; all sessions from there to the
    test were used to choose.
    """

    trained_from: date
    first_day: date
    last_day: date
    chosen: Mapping[str, str]
    in_sample: Mapping[str, Figure]
    out_of_sample: Mapping[str, Figure]


@dataclass(frozen=True, slots=True)
class WalkForward:
    """The splits, and the figures of all tests one after the other."""

    folds: tuple[Fold, ...]
    out_of_sample: Mapping[str, Figure]


class TooFewSessions(Exception):
    """There are not enough sessions for the splits. The message is one line."""


def compared(points: Sequence[GridPoint], settings: PerformanceSettings) -> GridComparison:
    """Rank the points, and deflate the Sharpe ratio of the best by their number and spread."""
    ranked = sorted(points, key=lambda point: -point.sharpe)
    yearly = math.sqrt(settings.periods_per_year)
    ratios = [point.sharpe / yearly for point in ranked if math.isfinite(point.sharpe)]
    trials = Trials.of(ratios) if len(ratios) > 1 else None
    deflated = Figure(None, 0)
    if trials is not None:
        judged = PerformanceSettings(settings.periods_per_year, settings.rolling_sessions, settings.bootstrap, trials)
        deflated = figures_of((), session_curve(ranked[0].sessions), judged)["deflated_sharpe"]
    return GridComparison(tuple(ranked), trials, deflated)


def walk_forward(points: Sequence[GridPoint], splits: int, settings: PerformanceSettings) -> WalkForward:
    """Choose settings on the sessions up to each split, and test them on those up to the next one.

    The sessions are divided into `splits` + 1 parts of equal length. Part k is tested with the point that had the best
    Sharpe ratio on all parts before it.

    Args:
        points: of runs over the same bars.
        splits: number of tests, >= 1.
        settings: of the statistics.

    Raises:
        TooFewSessions: a part would have no session.
    """
    days = points[0].sessions.days
    length = len(days) // (splits + 1)
    if not length:
        raise TooFewSessions(
            f"{counted(splits, 'split needs', 'splits need')} {splits + 1} sessions or more, and there are {len(days)}"
        )
    folds, equity, trades = list[Fold](), [points[0].sessions.initial_equity], list[Trade]()
    for number in range(1, splits + 1):
        start, stop = number * length, len(days) if number == splits else (number + 1) * length
        before = [_part(point, 0, start, settings) for point in points]
        best = max(range(len(points)), key=lambda at, before=before: (_ratio(before[at]), -at))  # type: ignore[misc]
        chosen = points[best]
        tested = _part(chosen, start, stop, settings)
        folds.append(
            Fold(days[0], days[start], days[stop - 1], chosen.settings, before[best], tested),
        )
        trades += _trades_of(chosen, days[start], days[stop - 1])
        base, last = chosen.sessions.equity[start - 1], equity[-1]
        equity += [last + level - base for level in chosen.sessions.equity[start:stop]]
    sessions = SessionEquity(equity[0], days[length:], tuple(equity[1:]))
    return WalkForward(tuple(folds), figures_of(trades, session_curve(sessions), settings))


def session_curve(sessions: SessionEquity) -> EquityCurve:
    """Return the equity by session as a curve with one point at the end of each day, in UTC, and without exposure."""
    times = tuple(datetime.combine(day, time.max, UTC) for day in sessions.days)
    started = times[0] if times else datetime.min.replace(tzinfo=UTC)
    none = (0.0,) * len(times)
    return EquityCurve(sessions.initial_equity, started, times, sessions.days, sessions.equity, none)


def _part(point: GridPoint, start: int, stop: int, settings: PerformanceSettings) -> Mapping[str, Figure]:
    """Return the figures of the sessions from index `start` to `stop`, which is exclusive."""
    sessions = point.sessions
    before = sessions.equity[start - 1] if start else sessions.initial_equity
    part = SessionEquity(before, sessions.days[start:stop], sessions.equity[start:stop])
    trades = _trades_of(point, part.days[0], part.days[-1])
    return figures_of(trades, session_curve(part), settings)


def _trades_of(point: GridPoint, first: date, last: date) -> list[Trade]:
    return [trade for trade in point.trades if first <= trade.session_day <= last]


def _ratio(figures: Mapping[str, Figure]) -> float:
    value = figures["sharpe"].value
    return -math.inf if value is None else value
