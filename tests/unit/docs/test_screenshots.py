"""The pictures of the dashboard that the documents show."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from docs.screenshots import FOLDER, KIND, THEMES, VIEWS

ROOT = Path(__file__).parents[3]
MOST_BYTES = 2_000_000


def test_pictures_are_those_that_the_command_takes() -> None:
    taken = {f"{view}-{width}-{theme}.{KIND}" for view, widths in VIEWS.items() for width in widths for theme in THEMES}
    assert {file.name for file in FOLDER.iterdir()} == taken
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) < MOST_BYTES


@pytest.mark.parametrize("document", ["README.md", "clients/dashboard/README.md"])
def test_pictures_of_documents_are_there(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    shown = re.findall(r"[\w./]*docs/screenshots/[\w.-]+", text)
    assert shown
    assert [path for path in shown if not (ROOT / document).parent.joinpath(path).exists()] == []
