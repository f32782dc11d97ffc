"""Main program of the process that confinement.py starts.

It reads a model file from stdin and writes to stdout, as JSON, the reason why the file is refused, or null. Arguments:
the limit of CPU time in seconds and the limit of memory in bytes.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from pathlib import Path

from .buffers import InferenceBatch
from .errors import ModelRefused
from .model_file import load_content
from .policy import identical_batches


def main(cpu_seconds: int, memory_bytes: int) -> None:
    """Limit this process, load the model, run the trial and print the result."""
    # A service that decides meanwhile has priority.
    os.nice(5)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds + 1))
    resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
    print(json.dumps(_refusal(sys.stdin.buffer.read())))


def _refusal(content: bytes) -> str | None:
    try:
        model = load_content(Path("model.onnx"), content)
        identical_batches(model, InferenceBatch(model, 1))
    except ModelRefused as refused:
        return refused.reason
    except MemoryError:
        return "out of memory"
    return None


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
