"""Every setting is explained in a document, not only in the list of all."""

from __future__ import annotations

import re
from pathlib import Path

from tradingsignals_server.config.settings import Settings

ROOT = Path(__file__).parents[3]


def test_every_setting_is_named_in_a_document() -> None:
    paths = (ROOT / "README.md", ROOT / "models/README.md", *sorted((ROOT / "docs").glob("*.md")))
    documents = "\n".join(path.read_text() for path in paths)
    named = set(re.findall(r"\b[A-Z][A-Z0-9_]+\b", documents))
    assert {name.upper() for name in Settings.model_fields} - named == set()
