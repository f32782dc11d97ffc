"""Commands that call this program, for pasting into any shell, in any folder, without a PATH."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path


def command(*arguments: str) -> str:
    """Return a command that runs `tradingsignals` with these arguments, by its absolute path."""
    script = Path(sys.executable).with_name("tradingsignals")
    words = [str(script)] if script.exists() else [sys.executable, "-m", "tradingsignals_server"]
    return shlex.join([*words, *arguments])


def python(code: str) -> str:
    """Return a command that runs one line of code in this Python, which has the client installed."""
    return shlex.join([sys.executable, "-c", code])
