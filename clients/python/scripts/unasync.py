"""Generate the sync client from the async one.

`tradingsignals/_sync` is `tradingsignals/_async` without `async` and `await`, but for `calls.py`, which is written by
hand in both.

python clients/python/scripts/unasync.py            write `_sync` (`make generate`)
python clients/python/scripts/unasync.py --check    fail if it is not current (`make check-generated`)
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "tradingsignals"
ASYNC, SYNC = PACKAGE / "_async", PACKAGE / "_sync"
BY_HAND = {"__init__.py", "calls.py"}

SUBSTITUTIONS = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"  # noqa: ASYNC\d+ .*", ""),
        (r"\b(async|await) ", ""),
        (r"\bAwaitable\[(\w+)\]", r"\1"),
        (r"\bAwaitable, ", ""),
        (r"\b(Stop)?Async(?=[A-Z])", r"\1"),  # StopAsyncIteration, AsyncIterator, AsyncClient
        (r"__a(enter|exit|iter|next)__", r"__\1__"),
    )
]


def sync_source(file: Path) -> str:
    """Return the sync module for an async one."""
    text = file.read_text(encoding="utf-8")
    for pattern, replacement in SUBSTITUTIONS:
        text = pattern.sub(replacement, text)
    text = f"# Generated from _async/{file.name} by `make generate`; do not edit.\n{text}"
    text = _ruff("check", "--select=I,UP028", "--fix-only", "--unsafe-fixes", "--quiet", name=file.name, text=text)
    return _ruff("format", "--quiet", name=file.name, text=text)


def _ruff(*arguments: str, name: str, text: str) -> str:
    ruff = Path(sysconfig.get_path("scripts")) / "ruff"
    command = [str(ruff), *arguments, "--stdin-filename", str(SYNC / name), "-"]
    return subprocess.run(command, input=text, capture_output=True, check=True, text=True).stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="fail if the sync client is not current")
    check: bool = parser.parse_args().check

    sources = {file.name: sync_source(file) for file in ASYNC.glob("*.py") if file.name not in BY_HAND}
    present = {file.name: file for file in SYNC.glob("*.py") if file.name not in BY_HAND}
    if check:
        stale = [
            name
            for name in sorted(sources.keys() | present.keys())
            if name not in sources or name not in present or present[name].read_text(encoding="utf-8") != sources[name]
        ]
        if stale:
            sys.exit(f"not what _async gives (make generate): {', '.join(f'_sync/{name}' for name in stale)}")
        return
    for name, file in present.items():
        if name not in sources:
            file.unlink()
    for name, text in sources.items():
        (SYNC / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
