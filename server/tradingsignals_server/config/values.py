"""Values of settings as text: as an environment variable has them."""

from __future__ import annotations

from enum import Enum

from pydantic import PostgresDsn

from ..adapters.postgres.place import without_secrets


def shown_value(value: object) -> str:
    """Return the value of a setting as text, without secrets; "" if it is absent."""
    if value is None:
        return ""
    if isinstance(value, PostgresDsn):
        return without_secrets(str(value))
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value)
