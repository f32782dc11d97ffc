"""Tables and tiles of a report: rows of texts for the template."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby

from ...application.report import ReportData
from ...domain.performance.breakdowns import Dimension
from ...domain.performance.definitions import DEFINITIONS, FigureDefinition
from ...domain.performance.figures import Figure
from ...domain.performance.texts import UNDEFINED, figure_text, interval_text, number
from ...domain.values import dataclass
from ...domain.wording import counted
from .texts import duration_text, label_of, price_digits, time_text

_TILES = (
    *("pnl", "total_return_pct", "max_drawdown_pct", "sharpe"),
    *("trades", "win_rate_pct", "profit_factor", "expectancy_r"),
)
_COMPARED = ("total_return_pct", "max_drawdown_pct", "sharpe", "sortino", "trades", "win_rate_pct", "profit_factor")
_BROKEN_DOWN = ("trades", "win_rate_pct", "profit_factor", "expectancy_r", "pnl")
DIMENSION_NAMES = {
    Dimension.SYMBOL: "Symbol",
    Dimension.MODEL_VERSION: "Model version",
    Dimension.ACTION: "Action",
    Dimension.ORIGIN: "Origin",
    Dimension.RESOLUTION: "Exit reason",
    Dimension.CONFIDENCE: "Confidence",
    Dimension.HOUR: "Hour of entry (UTC)",
    Dimension.WEEKDAY: "Weekday",
    Dimension.MONTH: "Month",
}
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
WORST_DRAWDOWNS = 5


@dataclass(frozen=True, slots=True)
class ShownFigure:
    """A figure as texts. definition: what it is, for the tip. tone: gain, loss, or empty."""

    name: str
    label: str
    value: str
    interval: str
    n: str
    counted: str
    definition: str
    tone: str


@dataclass(frozen=True, slots=True)
class ShownMonth:
    """A month of the calendar. shade: class of its colour, empty for a month without a session."""

    name: str
    value: str
    sessions: int
    shade: str


def shown_figure(name: str, figure: Figure, currency: str) -> ShownFigure:
    """Return a figure as texts."""
    definition = DEFINITIONS[name]
    tone = ""
    if name in {"pnl", "total_return_pct", "expectancy_r"} and figure.value:
        tone = "gain" if figure.value > 0.0 else "loss"
    return ShownFigure(
        name,
        label_of(name),
        figure_text(name, figure, currency),
        interval_text(name, figure),
        f"{figure.n:,}",
        definition.counted,
        _definition_text(definition),
        tone,
    )


def _definition_text(definition: FigureDefinition) -> str:
    parts = [f"{definition.formula}. n counts {definition.counted}."]
    if definition.periodicity:
        parts.append(f"Period: {definition.periodicity}.")
    if definition.undefined:
        parts.append(f"Undefined if: {definition.undefined}.")
    if definition.estimate:
        parts.append("Interval: 95%, by bootstrap over sessions.")
    return " ".join(parts)


def headline_tiles(data: ReportData) -> list[ShownFigure]:
    """Return the figures that come first."""
    return [shown_figure(name, data.performance.figures[name], data.currency) for name in _TILES]


def figure_groups(data: ReportData) -> list[tuple[str, list[ShownFigure]]]:
    """Return all figures by the group of their definition, in the order of definitions."""
    shown = groupby(data.performance.figures.items(), key=lambda item: DEFINITIONS[item[0]].group)
    return [
        (group.value, [shown_figure(name, figure, data.currency) for name, figure in items]) for group, items in shown
    ]


def verdict(data: ReportData) -> str:
    """Return what the interval of the mean R says, in a sentence."""
    figure = data.performance.figures["expectancy_r"]
    if figure.value is None:
        return "No trade was closed, so no statistics of trades exist."
    if figure.interval is None:
        trades = counted(figure.n, "trade")
        return f"Too few sessions for an interval ({trades}): these figures say little about the future."
    if figure.interval.low > 0.0:
        return "The 95% interval of the mean R is above 0: these trades made more than chance alone would explain."
    if figure.interval.high < 0.0:
        return "The 95% interval of the mean R is below 0: these trades lost more than chance alone would explain."
    return "The 95% interval of the mean R contains 0: these trades do not show that the policy makes a profit."


def month_years(data: ReportData) -> list[tuple[int, list[ShownMonth], str]]:
    """Return for each year its twelve months, and the return of the year."""
    known = {(one.year, one.month): one for one in data.performance.monthly_returns}
    largest = max((abs(one.return_pct) for one in known.values()), default=0.0)
    found = []
    for year in sorted({year for year, _ in known}):
        months, growth = [], 1.0
        for at, name in enumerate(MONTHS, 1):
            one = known.get((year, at))
            if one is None:
                months.append(ShownMonth(name, "", 0, ""))
                continue
            growth *= 1.0 + one.return_pct / 100.0
            level = 0 if not largest else min(4, int(5.0 * abs(one.return_pct) / largest))
            shade = f"{'gain' if one.return_pct >= 0.0 else 'loss'}-{level}"
            months.append(ShownMonth(name, f"{number(one.return_pct, sign=True)}%", one.sessions, shade))
        found.append((year, months, f"{number(100.0 * (growth - 1.0), sign=True)}%"))
    return found


def breakdown_tables(data: ReportData) -> list[tuple[str, list[list[str]]]]:
    """Return for each dimension its rows: key, n, win rate, profit factor, mean R with interval, net profit."""
    tables = groupby(data.performance.breakdowns, key=lambda group: group.dimension)
    return [
        (DIMENSION_NAMES[dimension], [[group.key, *_broken_down(group.figures, data.currency)] for group in groups])
        for dimension, groups in tables
    ]


def _broken_down(figures: Mapping[str, Figure], currency: str) -> list[str]:
    texts = [figure_text(name, figures[name], currency) for name in _BROKEN_DOWN]
    texts.insert(4, interval_text("expectancy_r", figures["expectancy_r"]) or UNDEFINED)
    return texts


def drawdown_rows(data: ReportData) -> list[list[str]]:
    """Return the deepest drawdowns: depth, peak, trough, recovery, duration."""
    worst = sorted(data.performance.drawdowns, key=lambda one: (-one.depth_pct, one.peak_time))[:WORST_DRAWDOWNS]
    return [
        [
            f"{number(one.depth_pct)}%",
            f"{number(one.depth)} {data.currency}",
            time_text(one.peak_time),
            time_text(one.trough_time),
            "not yet" if one.recovery_time is None else time_text(one.recovery_time),
            duration_text(one.duration),
        ]
        for one in worst
    ]


def open_rows(data: ReportData) -> list[list[str]]:
    """Return the positions left open."""
    rows = []
    for one in data.open_trades:
        prices = one.entry_price, one.price, one.stop_loss, one.take_profit
        digits = price_digits(prices)
        rows.append(
            [
                one.symbol,
                one.action.value,
                time_text(one.entry_time),
                *(number(price, digits) for price in prices),
                f"{number(100.0 * one.size)}%",
                f"{number(one.pnl, sign=True)} {data.currency}",
                f"{number(one.r_multiple, sign=True)} R",
            ]
        )
    return rows


def rejection_rows(data: ReportData) -> list[list[str]]:
    """Return why signals were not traded."""
    return [[one.reason, f"{one.count:,}", time_text(one.newest), one.example] for one in data.rejections]


def comparison_rows(data: ReportData) -> list[tuple[str, str, list[tuple[str, str]]]]:
    """Return the policy and what it is compared with: name, definition, and values by label."""
    rows: list[tuple[str, str, Mapping[str, Figure]]] = [("this policy", "", data.performance.figures)]
    rows += [(one.name, one.definition, one.figures) for one in data.comparisons]
    return [
        (name, definition, [(label_of(key), figure_text(key, figures[key], data.currency)) for key in _COMPARED])
        for name, definition, figures in rows
    ]
