"""What callers get by their `accept` header: of "/" the page or the JSON, of a stream its form."""

from __future__ import annotations

_WEIGHT = r"[^,]*;\s*q=0?"
_JSON_OF_WEIGHT_1 = r"application/json(?:\s*;\s*(?:q=1[^,;]*|[^q,;][^,;]*))*"
_WEIGHT_0 = rf"{_WEIGHT}(?:\.0*)?"
_JAVA = r"\*; q=\.2"
"""A part of the header of Java's HttpURLConnection, whose programs want no page although it names HTML first."""


def wants_json_pattern() -> str:
    """Return a regular expression of `accept` headers that name text/html and prefer JSON.

    Of weights (q=0.8) the first digit after the point is compared, as far as an expression can do it; equal ones prefer
    the page.
    """
    parts = [f"text/html{_WEIGHT_0}", _JAVA]
    for digit in range(1, 11):
        json = _JSON_OF_WEIGHT_1 if digit == 10 else rf"application/json{_WEIGHT}\.{digit}\d*"
        html = rf"text/html{_WEIGHT}(?:\.(?:[0-{digit - 1}]\d*)?)?"
        parts += [rf"{json}\s*,(?:.*,)?\s*{html}", rf"{html}\s*,(?:.*,)?\s*{json}"]
    return _among(*parts)


def refuses_pattern(content_type: str) -> str:
    """Return a regular expression of `accept` headers that refuse a content type by a weight of 0."""
    return _among(f"{content_type}{_WEIGHT_0}")


def _among(*parts: str) -> str:
    return rf"(?i)(?:.*,)?\s*(?:{'|'.join(parts)})\s*(?:,.*)?"
