"""Log lines with text of callers."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradingsignals_server.logs import JsonFormatter, TextFormatter

FORGED = "/x\n12:00:00 ERROR   forged\x1b[2J\r\x85\u2028\u202e"


def record(text: str, *, raised: bool = False) -> logging.LogRecord:
    """Return a record with text of a caller in every place that allows it."""
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
def test_text_of_a_caller_cannot_start_a_line(formatter: logging.Formatter) -> None:
    line = formatter.format(record(FORGED))
    assert line.isprintable()
    assert "forged" in line


@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()], ids=["text", "json"])
def test_line_of_a_call_has_its_request_id(formatter: logging.Formatter) -> None:
    made = record("GenerateSignal")
    made.request_id = "desk-7/42"
    assert "desk-7/42" in formatter.format(made)


@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()], ids=["text", "json"])
def test_line_of_a_traced_call_has_its_trace_id(formatter: logging.Formatter) -> None:
    made = record("GenerateSignal")
    assert "trace_id" not in formatter.format(made)
    made.trace_id = "0af7651916cd43dd8448eb211c80319c"
    assert "0af7651916cd43dd8448eb211c80319c" in formatter.format(made)


def test_traceback_lines_are_indented() -> None:
    first, *others = TextFormatter().format(record(FORGED, raised=True)).split("\n")
    assert first.isprintable()
    assert others
    assert all(line.startswith("  ") and line.isprintable() for line in others)


@given(st.text())
def test_json_line_is_one_line_of_ascii(text: str) -> None:
    line = JsonFormatter().format(record(text, raised=True))
    assert line.isprintable()
    assert json.loads(line)["method"] == text if text else True


def test_printable_text_is_unchanged() -> None:
    assert "mañana 価格" in TextFormatter().format(record("mañana 価格"))


def test_time_of_a_json_line_is_in_utc_with_milliseconds() -> None:
    made = record("x")
    for created in (1_700_000_000.25, 1_700_000_000.75, 1_700_000_001.001953125):
        made.created, made.msecs = created, created % 1 * 1e3
        expected = datetime.fromtimestamp(created, UTC).isoformat(timespec="milliseconds")
        assert json.loads(JsonFormatter().format(made))["time"] == expected
