"""The page: sections of a report from its data, rendered into one HTML file of at most MAX_BYTES."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib import resources
from itertools import groupby
from typing import Any

import jinja2

from ...application.report import PriceBars, ReportData
from .distributions import calibration_chart, excursion_chart, hour_chart, r_chart, reason_chart, weekday_chart
from .packing import packed_bars, packed_trades, script_json
from .tables import (
    breakdown_tables,
    comparison_rows,
    drawdown_rows,
    figure_groups,
    headline_tiles,
    month_years,
    open_rows,
    rejection_rows,
    verdict,
)
from .texts import duration_text, time_text
from .thinning import coarser
from .timelines import drawdown_charts, equity_charts, sharpe_charts

MAX_BYTES = 1_000_000
"""Size of a report. Candles are made coarser until it fits; trades are never left out, so thousands of them may not."""
MIN_CANDLES = 400
"""Candles of a symbol are not made fewer than this."""
_FACTORS = (1, 2, 3, 4, 6, 8, 12, 24, 48, 72, 144, 288, 576, 1152, 2016, 4032, 8064)
_NOTES_BYTES = 2_000
"""Kept free for the notes about coarser candles."""
_LIBRARY = "lightweight-charts"


def render_report(data: ReportData) -> str:
    """Return the report as one HTML document in UTF-8 that requests nothing from anywhere."""
    template, sections = _environment().get_template("report.html.j2"), _sections(data)
    without_bars = template.render(sections, bars="[]", thinned=())
    bars, thinned = _fitting_bars(data.prices, MAX_BYTES - len(without_bars.encode()) - _NOTES_BYTES)
    return template.render(sections, bars=bars, thinned=thinned)


def _fitting_bars(prices: tuple[PriceBars, ...], budget: int) -> tuple[str, tuple[str, ...]]:
    """Return bars as JSON of at most `budget` bytes, and for each symbol whose bars were combined what was done."""
    for factor in _FACTORS:
        combined = [coarser(bars, min(factor, _largest_factor(bars))) for bars in prices]
        packed = script_json([packed_bars(bars) for bars in combined])
        if len(packed.encode()) <= budget:
            break
    notes = tuple(
        f"{after.symbol}: candles of {duration_text(after.interval)}, each made of up to "
        f"{after.interval // before.interval} bars of {duration_text(before.interval)} "
        f"(first open, highest high, lowest low, last close), {len(after.times):,} for {len(before.times):,} bars"
        for before, after in zip(prices, combined, strict=True)
        if after is not before
    )
    return packed, notes


def _largest_factor(bars: PriceBars) -> int:
    return max((factor for factor in _FACTORS if len(bars.times) / factor >= MIN_CANDLES), default=1)


def _sections(data: ReportData) -> dict[str, Any]:
    """Return what the template shows, but the bars."""
    css, code, library = map(_asset, ("report.css", "report.js", f"{_LIBRARY}.js"))
    return {
        "data": data,
        "policy": _content_policy(scripts=(library, code), style=css),
        "css": css,
        "code": code,
        "library": library,
        "licence": _asset(f"{_LIBRARY}.LICENSE.txt"),
        "warnings": _warnings(data),
        "period": None if data.period is None else tuple(map(time_text, data.period)),
        "facts": [(group, list(facts)) for group, facts in groupby(data.facts, key=lambda fact: fact.group)],
        "tiles": headline_tiles(data),
        "verdict": verdict(data),
        "groups": figure_groups(data),
        "charts": _charts(data),
        "years": month_years(data),
        "breakdowns": breakdown_tables(data),
        "drawdowns": drawdown_rows(data),
        "open_rows": open_rows(data),
        "rejections": rejection_rows(data),
        "comparisons": comparison_rows(data),
        "trades": script_json(packed_trades(data.trades)),
    }


def _charts(data: ReportData) -> dict[str, Any]:
    """Return the charts by name; those over the width of the page in two sizes."""
    return {
        "equity": equity_charts(data),
        "drawdown": drawdown_charts(data),
        "sharpe": sharpe_charts(data),
        "r": r_chart(data),
        "excursions": excursion_chart(data),
        "reasons": reason_chart(data),
        "hours": hour_chart(data),
        "weekdays": weekday_chart(data),
        "calibration": calibration_chart(data),
    }


def _warnings(data: ReportData) -> tuple[str, ...]:
    """Return what nobody may miss."""
    found = []
    if data.simulated:
        found.append("SIMULATED DATA: bars are made up, not from a market.")
    if data.placeholder:
        found.append("PLACEHOLDER DECISIONS: made up, no model was loaded.")
    return tuple(found)


def _content_policy(scripts: tuple[str, ...], style: str) -> str:
    """Return a Content-Security-Policy that allows these texts only, and no request."""
    allowed = " ".join(map(_source_hash, scripts))
    return (
        f"default-src 'none'; script-src {allowed}; style-src {_source_hash(style)}; "
        "base-uri 'none'; form-action 'none'"
    )


def _source_hash(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"


@cache
def _asset(name: str) -> str:
    return (resources.files(__package__) / "assets" / name).read_text(encoding="utf-8").strip()


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FunctionLoader(_asset),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
