"""The snippets of the page of calls, run as users would."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from pathlib import Path

from .chromium import Tab
from .deadlines import within


async def snippets_of(tab: Tab) -> dict[str, str]:
    """Return the snippets of the call that the tab shows, by their language."""
    found: list[tuple[str, str]] = await tab.run(
        "[...document.querySelectorAll('[role=tab]')].map((tab) => { tab.click(); "
        "return [tab.textContent, document.querySelector('.try pre').textContent]; })"
    )
    return dict(found)


async def output_of(language: str, text: str, **environment: str) -> bytes | None:
    """Run a snippet and return what it writes; None if this machine lacks the program."""
    node = shutil.which("node")
    started = {
        "curl": ("sh", "-c"),
        "Python": (sys.executable, "-c"),
        "TypeScript": (node, "--input-type=module", "-e") if node else None,
        "gRPC": ("sh", "-c"),
    }
    command = started[language]
    if command is None:
        return None
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    process = await asyncio.create_subprocess_exec(
        *command, text, stdout=-1, stderr=-1, env={"PATH": path, **environment}
    )
    out, errors = await within(process.communicate())
    assert process.returncode == 0, (language, text, errors.decode())
    return out
