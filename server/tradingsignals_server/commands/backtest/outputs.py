"""Files that the commands write: checked before anything is computed."""

from __future__ import annotations

import json
import os
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
        out.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n")


def write_report(out: Path, data: ReportData, console: Console) -> None:
    """Write a report and say where it is."""
    page = render_report(data).encode()
    out.write_bytes(page)
    console.print(f"report: {out} ({len(page) / 1000:,.0f} kB)", highlight=False, markup=False, soft_wrap=True)
