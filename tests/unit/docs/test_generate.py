"""What is generated of the documents and of the contract."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from docs.generate import (
    BEGIN,
    CONTRACT,
    END,
    FIGURES,
    ROOT,
    access_section,
    documents,
    figures_section,
    with_comment,
    with_section,
)


@pytest.mark.parametrize(("path", "current"), [pytest.param(*each, id=each[0].name) for each in documents()])
def test_the_document_is_current(path: Path, current: str) -> None:
    assert path.read_text("utf-8") == current, f"{path.relative_to(ROOT)} is not current: make generate"


def test_every_figure_has_a_row() -> None:
    section = figures_section()
    assert all(f"| `{name}` |" in section for name in FIGURES)


def test_text_around_the_figures_stays() -> None:
    written = with_section(f"before\n{BEGIN}\nold\n{END}\nafter\n", BEGIN, figures_section())
    assert written.startswith(f"before\n{BEGIN}\n")
    assert written.endswith(f"{END}\nafter\n")
    assert "old" not in written


def test_a_document_without_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="needs the lines"):
        with_section("no markers", BEGIN, figures_section())


def test_rules_of_access_are_listed_by_rule() -> None:
    assert "`ModelService.ReloadModel`" in next(
        row for row in access_section().splitlines() if row.startswith("| admin")
    )


def test_the_comment_of_the_contract_lists_every_figure_in_order() -> None:
    listed = re.findall(r"^  // - (\w+) \(", CONTRACT.read_text("utf-8"), re.MULTILINE)
    assert listed == list(FIGURES)


def test_a_contract_without_the_field_is_refused() -> None:
    with pytest.raises(ValueError, match="needs the field"):
        with_comment("message Figure {\n  double value = 1;\n}\n")
