"""Growth that a long run finds, and noise that it does not take for growth."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
from benchmarks.line_charts import draw_lines
from benchmarks.soak import Measured, _sum

MEMORY, FILES = "memory of the server, MiB", "open files of the server"


@pytest.mark.parametrize(
    ("name", "values", "grows"),
    [
        (MEMORY, [100, 150, 160, 160, 160, 161, 160, 162], False),
        (MEMORY, [100, 110, 120, 130, 140, 150, 165, 180], True),
        (FILES, [30, 60, 50, 60, 50, 60, 55, 60], False),
        (FILES, [30, 40, 50, 60, 70, 80, 100, 120], True),
    ],
)
def test_growth_after_the_first_half_is_found(name: str, values: list[float], grows: bool) -> None:
    measured = Measured([float(number) for number in range(len(values))], {name: values})
    assert measured.grown() == ([name] if grows else [])


def test_samples_of_a_metric_are_added() -> None:
    text = '# HELP open_streams Streams.\nopen_streams{a="x"} 2\nopen_streams{a="y"} 3\nopen_streams_total 9\n'
    assert _sum(text, "open_streams") == 5
    assert _sum(text, "open_streams", 'a="y"') == 2


def test_picture_has_a_chart_for_each_quantity(tmp_path: Path) -> None:
    draw_lines(tmp_path / "out.svg", [0.0, 1.0], {"one & more": [0.0, 0.0], "two": [5.0, 7.0]}, "a <run>")
    root = ElementTree.parse(tmp_path / "out.svg").getroot()  # noqa: S314 - we have written it
    assert len(root.findall("{http://www.w3.org/2000/svg}polyline")) == 2
