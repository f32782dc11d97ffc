"""The shape of a JSON response: its keys and the types of their values."""

from __future__ import annotations

import re
from typing import Any

_KINDS = {
    "time": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z"),
    "uuid": re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
    "integer, as a string": re.compile(r"-?\d+"),
    "name": re.compile(r"[A-Z_]+"),
}


def shape(value: Any) -> Any:
    """Return the shape of a value: objects by key, lists by their first element, other values by type."""
    match value:
        case dict():
            return {key: shape(value[key]) for key in sorted(value)}
        case list():
            return [shape(value[0])] if value else []
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return next((kind for kind, pattern in _KINDS.items() if pattern.fullmatch(value)), "string")
        case _:
            raise TypeError(f"{value!r} is nothing that REST callers expect")
