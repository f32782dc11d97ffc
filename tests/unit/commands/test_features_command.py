"""The catalogue as it is printed, and as the page of the documentation."""

from __future__ import annotations

from pathlib import Path

from tradingsignals_server.commands.features import page, table
from tradingsignals_server.domain.features.catalogue import CATALOGUE
from tradingsignals_server.domain.features.expression import Feature

DOCUMENT = Path(__file__).parents[3] / "docs" / "features.md"


def test_every_kind_is_printed_with_its_formula() -> None:
    text = " ".join(table().split())
    for kind in CATALOGUE.values():
        assert f" {Feature(kind)} {kind.meaning}" in text or f"{Feature(kind)} " in text
        assert kind.formula in text, kind.name


def test_page_of_the_documentation_is_current() -> None:
    assert page() == DOCUMENT.read_text(), "make generate"
