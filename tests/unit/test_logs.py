"""Log lines are lines, whatever a caller has put into them."""

from __future__ import annotations

import json
import logging
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradingsignals_server.logs import JsonFormatter, TextFormatter

FORGED = "/x\n12:00:00 ERROR   forged\x1b[2J\r\x85\u2028\u202e"


def record(text: str, *, raised: bool = False) -> logging.LogRecord:
    """A record that has a caller's text wherever it may be."""
    found = None
    if raised:
        try:
            raise ValueError(text)
        except ValueError:
            found = sys.exc_info()
    made = logging.LogRecord("tradingsignals.call", logging.INFO, "", 0, "%s %s", (text, "OK"), found)
    made.method = text
    made.request_id = text
    return made


@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()], ids=["text", "json"])
def test_a_text_of_a_caller_makes_no_line_of_its_own(formatter: logging.Formatter) -> None:
    line = formatter.format(record(FORGED))
    assert line.isprintable()
    assert "forged" in line


def test_a_traceback_has_no_line_that_begins_like_a_line_of_the_log() -> None:
    first, *others = TextFormatter().format(record(FORGED, raised=True)).split("\n")
    assert first.isprintable()
    assert others
    assert all(line.startswith("  ") and line.isprintable() for line in others)


@given(st.text())
def test_json_lines_are_one_line_of_ascii(text: str) -> None:
    line = JsonFormatter().format(record(text, raised=True))
    assert line.isprintable()
    assert json.loads(line)["method"] == text if text else True


def test_text_that_is_no_danger_stays_as_it_is() -> None:
    assert "mañana 価格" in TextFormatter().format(record("mañana 価格"))
