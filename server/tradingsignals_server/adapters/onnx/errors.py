"""Errors for model files and trained policies that cannot be used."""

from __future__ import annotations

import re
from pathlib import Path


class Unfit(Exception):
    """The content of a model file cannot be used.

    The message is one line without the path: the problem, and what to do.
    """


class ModelRefused(Exception):
    """The model file at `path` cannot be used. The message is one line: the path, the problem, and what to do."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


class ExportRefused(Exception):
    """A trained policy cannot be exported. The message is one line: the path, the problem, and what to do."""


def runtime_message(error: Exception) -> str:
    """Return the message of an error of ONNX Runtime on one line, without its codes and source locations."""
    line = first_line(error)
    line = re.sub(r"\[ONNXRuntimeError\] : \d+ : \w+ : ", "", line)
    line = re.sub(r"^/.*&\) ", "", line)
    line = re.sub(r"/onnxruntime_src/\S+:\d+ .*?\) ", "", line)
    return line if len(line) <= 240 else line[:237] + "..."


def first_line(error: Exception) -> str:
    """Return the first line of an error's message, or the name of its class if there is none.

    ONNX Runtime's message can be empty: on some versions of Python one that quotes bytes of a damaged file is.
    """
    return (str(error).strip() or type(error).__name__).splitlines()[0]
