"""Files that the commands write: checked before anything is computed."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path

from rich.console import Console

from ...adapters.report.page import render_report
from ...application.report import ReportData
from .options import InvalidOptions


def require_writable(out: Path | None) -> None:
    """Refuse a file that cannot be written.

    Raises:
        InvalidOptions: it is a folder, in a folder that does not exist, or not ours to write.
    """
    if out is None:
        return
    folder = out.parent
    if out.is_dir() or not folder.is_dir() or not os.access(out if out.exists() else folder, os.W_OK):
        raise InvalidOptions(f"{out} cannot be written; name a file in a folder that exists")


def write_json(out: Path | None, document: object) -> None:
    """Write a document, if a file is named for it."""
    if out is not None:
        _write(out, (json.dumps(document, indent=1, allow_nan=False) + "\n").encode())


def write_report(out: Path, data: ReportData, console: Console) -> None:
    """Write a report and say where it is."""
    page = render_report(data).encode()
    _write(out, page)
    console.print(f"report: {out} ({len(page) / 1000:,.0f} kB)", highlight=False, markup=False, soft_wrap=True)


def _write(out: Path, content: bytes) -> None:
    """Write a file at once: an interrupted command leaves the one that was there.

    Raises:
        InvalidOptions: it cannot be written.
    """
    part = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        if out.exists() and not out.is_file():  # such as a pipe, or /dev/stdout
            out.write_bytes(content)
            return
        part.write_bytes(content)
        part.replace(out)
    except OSError as error:
        raise InvalidOptions(f"{out}: cannot be written ({error.strerror})") from error
    finally:
        with suppress(OSError):
            part.unlink()
