"""Child processes that end with their parent."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable

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

    def in_the_child() -> None:
        if prctl(_PR_SET_PDEATHSIG, signal, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
        if os.getppid() != parent:  # it died before the call
            os._exit(1)

    return in_the_child
