"""Measurements over time as a picture: a small chart each, with a scale of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

_COLUMNS, _WIDTH, _HEIGHT, _MARGIN = 3, 300, 120, 16
_STYLE = (
    "text{font:11px sans-serif;fill:#1f2937}.name{font-weight:600}.line{fill:none;stroke:#2563eb;stroke-width:1.5}"
    ".axis{stroke:#cbd5e1}"
)


def draw_lines(path: Path, times: Sequence[float], lines: Mapping[str, Sequence[float]], title: str) -> None:
    """Write an SVG of `lines`, each from 0 to its highest value, over `times` in seconds."""
    rows = -(-len(lines) // _COLUMNS)
    width = _COLUMNS * (_WIDTH + _MARGIN) + _MARGIN
    height = 28 + rows * (_HEIGHT + 40)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">',
        f'<style>{_STYLE}</style><rect width="100%" height="100%" fill="white"/>',
        f'<text class="name" x="{_MARGIN}" y="18">{escape(title)}</text>',
    ]
    for place, (name, values) in enumerate(lines.items()):
        row, column = divmod(place, _COLUMNS)
        parts += _chart(name, times, values, _MARGIN + column * (_WIDTH + _MARGIN), 48 + row * (_HEIGHT + 40))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([*parts, "</svg>\n"]))


def _chart(name: str, times: Sequence[float], values: Sequence[float], left: int, top: int) -> list[str]:
    highest, begin, end = max(*values, 1e-9), times[0], max(times[-1], times[0] + 1e-9)
    points = " ".join(
        f"{left + _WIDTH * (time - begin) / (end - begin):.1f},{top + _HEIGHT * (1.0 - value / highest):.1f}"
        for time, value in zip(times, values, strict=True)
    )
    base = top + _HEIGHT
    label = f"{name}: {values[0]:,.0f} to {values[-1]:,.0f}, at most {max(values):,.0f}"
    return [
        f'<text x="{left}" y="{top - 6}">{escape(label)}</text>',
        f'<line class="axis" x1="{left}" y1="{base}" x2="{left + _WIDTH}" y2="{base}"/>',
        f'<line class="axis" x1="{left}" y1="{top}" x2="{left}" y2="{base}"/>',
        f'<polyline class="line" points="{points}"/>',
    ]
