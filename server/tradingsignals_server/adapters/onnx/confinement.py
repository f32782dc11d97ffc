"""Trial load of a model file in a separate process with limits on time and memory.

A graph can make ONNX Runtime compute for hours while it loads, allocate any amount of memory, or crash. In a separate
process none of that affects the service or other processes of the machine.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys

import onnxruntime

from .errors import Unfit

CPU_SECONDS = 20
"""CPU time for load and trial together. The shipped policy takes half a second, most of it to start Python."""
MEMORY_BYTES = 2 << 30
TIMEOUT_S = 60.0
"""Limit of elapsed time, for a busy machine and for a process that blocks without computing."""

_CHILD = f"{__package__}.confined"
_TOO_SLOW = "does not load and decide within {} s; export a smaller network, without functions and nested graphs"
_TOO_LARGE = "takes more than {} MiB of memory to load and decide; export a smaller network"
_NO_MEMORY = re.compile(r"bad.alloc|allocate memory|out of memory", re.IGNORECASE)


def require_bounded(content: bytes) -> None:
    """Load and try a model file with this content in a separate process.

    Raises:
        Unfit: the file cannot be used, exceeds CPU_SECONDS or MEMORY_BYTES, or crashes the runtime.
    """
    command = [sys.executable, "-P", "-m", _CHILD, str(CPU_SECONDS), str(MEMORY_BYTES)]
    too_slow, too_large = _TOO_SLOW.format(CPU_SECONDS), _TOO_LARGE.format(MEMORY_BYTES >> 20)
    try:
        ended = subprocess.run(
            command, input=content, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise Unfit(too_slow) from error
    if ended.returncode == 0:
        refusal: str | None = json.loads(ended.stdout)
        if refusal is not None:
            raise Unfit(too_large if _NO_MEMORY.search(refusal) else refusal)
    elif ended.returncode == -signal.SIGXCPU:
        raise Unfit(too_slow)
    elif ended.returncode == -signal.SIGKILL:
        # On a machine that is short of memory, the kernel kills the process that uses most of it.
        raise Unfit(too_large)
    else:
        raise Unfit(
            f"crashes onnxruntime {onnxruntime.__version__} (exit status {ended.returncode}); "
            "export it again, with nothing but ONNX's own operators"
        )
