"""The generated part of docs/statistics.md."""

from __future__ import annotations

import pytest
from docs.generate import BEGIN, END, STATISTICS, figures_section, with_figures

from tradingsignals_server.domain.performance.definitions import DEFINITIONS


def test_the_document_has_the_current_figures() -> None:
    text = STATISTICS.read_text("utf-8")
    assert text == with_figures(text), "docs/statistics.md is not current: make generate"


def test_every_figure_has_a_row() -> None:
    section = figures_section()
    assert all(f"| `{name}` |" in section for name in DEFINITIONS)


def test_text_around_the_figures_stays() -> None:
    written = with_figures(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    assert written.startswith(f"before\n{BEGIN}\n")
    assert written.endswith(f"{END}\nafter\n")
    assert "old" not in written


def test_a_document_without_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="needs the lines"):
        with_figures("no markers")
