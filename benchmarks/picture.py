"""The ratios of a run as a picture: one bar each, from 1 to the right if above 1, to the left if below."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from pathlib import Path

from .measure import Figure

_ROW, _LABELS, _WIDTH, _VALUES, _TOP = 22, 470, 420, 130, 46
_MET, _MISSED, _NO_TARGET = "#2a7d4f", "#b3392f", "#64748b"
_STYLE = "text{font:13px sans-serif;fill:#1f2937}.heading{font-weight:600}.axis{stroke:#cbd5e1}"


def draw(path: Path, ratios: Sequence[Figure], title: str) -> None:
    """Write `ratios` as an SVG on a logarithmic scale, with their targets as strokes."""
    shown = [figure for figure in ratios if figure.value > 0]
    marks = [figure.value for figure in shown] + [figure.target.bound for figure in shown if figure.target]
    decades = max((math.ceil(abs(math.log10(mark))) for mark in marks), default=1) or 1
    height = _TOP + _ROW * (len(shown) + 1)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_LABELS + _WIDTH + _VALUES}" height="{height}">',
        f'<style>{_STYLE}</style><rect width="100%" height="100%" fill="white"/>',
        f'<text class="heading" x="8" y="18">{escape(title)}</text>',
    ]
    for decade in range(-decades, decades + 1):
        x = _x(10.0**decade, decades)
        parts.append(f'<line class="axis" x1="{x:.1f}" y1="{_TOP - 8}" x2="{x:.1f}" y2="{height - 8}"/>')
        parts.append(f'<text x="{x:.1f}" y="{_TOP - 12}" text-anchor="middle">{10.0**decade:g}</text>')
    for row, figure in enumerate(shown):
        parts += _bar(figure, _TOP + row * _ROW, decades)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([*parts, "</svg>\n"]))


def _bar(figure: Figure, y: int, decades: int) -> list[str]:
    color = _NO_TARGET if figure.target is None else _MISSED if figure.missed else _MET
    one, at = _x(1.0, decades), _x(figure.value, decades)
    aim = "" if figure.target is None else f" (target {figure.target})"
    parts = [
        f'<text x="{_LABELS - 8}" y="{y + 15}" text-anchor="end">{escape(figure.what)}</text>',
        f'<rect x="{min(one, at):.1f}" y="{y + 4}" width="{max(1.0, abs(at - one)):.1f}" height="14" fill="{color}"/>',
        f'<text x="{_LABELS + _WIDTH + 8}" y="{y + 15}">{figure.value:.2g}{escape(aim)}</text>',
    ]
    if figure.target is not None:
        x = _x(figure.target.bound, decades)
        parts.append(f'<line x1="{x:.1f}" y1="{y + 1}" x2="{x:.1f}" y2="{y + 21}" stroke="black" stroke-width="2"/>')
    return parts


def _x(value: float, decades: int) -> float:
    return _LABELS + _WIDTH * (math.log10(value) + decades) / (2 * decades)
