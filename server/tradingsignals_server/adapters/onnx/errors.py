"""Why a model file is refused."""

from __future__ import annotations

import re
from pathlib import Path


class Unfit(Exception):
    """A file's content cannot serve. The message says in one line why, and what to do; it does not name the file."""


class ModelRefused(Exception):
    """The model file at `path` cannot serve. The message is one line: the path, why, and what to do."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


class ExportRefused(Exception):
    """A trained policy cannot become a model file. The message is one line that says why, and what to do."""


def runtime_said(error: Exception) -> str:
    """What ONNX Runtime said, on one line, without its codes and the places in its own source."""
    line = str(error).strip().splitlines()[0]
    line = re.sub(r"\[ONNXRuntimeError\] : \d+ : \w+ : ", "", line)
    line = re.sub(r"^/.*&\) ", "", line)
    line = re.sub(r"/onnxruntime_src/\S+:\d+ .*?\) ", "", line)
    return line if len(line) <= 240 else line[:237] + "..."
