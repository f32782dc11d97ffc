"""The API key of commands that call a running service."""

from __future__ import annotations

import os

VARIABLE = "TRADINGSIGNALS_API_KEY"
"""Of the environment. There is no option for it: lists of processes show options to everyone."""


def api_key() -> str | None:
    """Return the API key for calls of a running service; None if there is none."""
    return os.environ.get(VARIABLE) or None
