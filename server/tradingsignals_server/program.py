"""How this program is called: commands that can be pasted into any shell, in any folder, without a PATH."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path


def command(*arguments: str) -> str:
    """`tradingsignals` with these arguments, by its absolute path."""
    script = Path(sys.executable).with_name("tradingsignals")
    words = [str(script)] if script.exists() else [sys.executable, "-m", "tradingsignals_server"]
    return shlex.join([*words, *arguments])


def python(code: str) -> str:
    """The Python that runs this, which has the client installed, with code of one line."""
    return shlex.join([sys.executable, "-c", code])
