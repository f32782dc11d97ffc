"""Child processes that end with their parent."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable
from typing import Any

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def die_with_parent(signal: int) -> Callable[[], None]:
    """Make a `preexec_fn` that has the kernel send `signal` to the child when its parent is gone, even by kill -9.

    Call it in the process that starts the child, just before. The parent, to the kernel, is the *thread* that started
    the child, so start children from a thread that lasts. A change of user by the child itself resets the signal
    (`user=` of subprocess comes before `preexec_fn` and does not). Only Linux supports it; elsewhere the function does
    nothing.
    """
    if sys.platform != "linux":
        return lambda: None
    prctl = ctypes.CDLL(None, use_errno=True).prctl  # loaded here: the child must not load libraries after the fork
    parent = os.getpid()
    return lambda: _follow(prctl, signal, parent)


def follow_parent(signal: int, parent: int) -> None:
    """Have the kernel send `signal` to this process when its parent is gone; end now if it is. See `die_with_parent`.

    For a program whose parent starts it without a `preexec_fn`, which makes starting it cheaper: see worker.py.
    """
    if sys.platform == "linux":
        _follow(ctypes.CDLL(None, use_errno=True).prctl, signal, parent)


def _follow(prctl: Any, signal: int, parent: int) -> None:
    if prctl(_PR_SET_PDEATHSIG, signal, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:  # it died before the call
        os._exit(1)
