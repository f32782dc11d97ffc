"""`tradingsignals config`: the settings, as a table of the current values or as an example of a `.env` file."""

from __future__ import annotations

from textwrap import wrap

from pydantic import SecretStr

from ..config.settings import Settings
from ..config.values import shown_value

_WIDTH = 100


def table(settings: Settings) -> str:
    """Return a table of all settings with their current values. A star marks values that are not the default."""
    lines = []
    for name, field in Settings.model_fields.items():
        value = getattr(settings, name)
        mark = "*" if value != field.default else " "
        lines.append(f"{mark} {name.upper()}={shown_value(value)}")
        lines.extend(f"      {line}" for line in wrap(field.description or "", _WIDTH))
    return "\n".join(lines) + "\n"


def example() -> str:
    """Return a `.env` file with every setting at its default, commented out."""
    blocks = ["# Settings of the Trading Signals Service. Written by `tradingsignals config --example`.\n"]
    for name, field in Settings.model_fields.items():
        about = "".join(f"# {line}\n" for line in wrap(field.description or "", _WIDTH))
        default = field.default
        plain = default.get_secret_value() if isinstance(default, SecretStr) else shown_value(default)
        blocks.append(f"{about}#{name.upper()}={plain}\n")
    return "\n".join(blocks)
