"""The process of confinement.py: a model file on stdin; on stdout, as JSON, why it is refused, or null.

Arguments: the CPU time in seconds and the memory in bytes that it may take.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from pathlib import Path

from .errors import ModelRefused
from .model_file import load_content
from .policy import Batch, identical_batches


def main(cpu_seconds: int, memory_bytes: int) -> None:
    """Limit this process, then load, try and report."""
    # What decides meanwhile goes first.
    os.nice(5)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds + 1))
    resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
    print(json.dumps(_refusal(sys.stdin.buffer.read())))


def _refusal(content: bytes) -> str | None:
    try:
        model = load_content(Path("model.onnx"), content)
        identical_batches(model, Batch(model, 1))
    except ModelRefused as refused:
        return refused.reason
    except MemoryError:
        return "out of memory"
    return None


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
