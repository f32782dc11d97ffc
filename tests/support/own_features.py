"""A module of features of the user's own, in the working folder of a test."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MODULE = """
import numpy as np

class Mine:
    names = ["change", "progress"]
    lookback_bars = 30
    warm_bars = 2

    def observe(self, bars, session):
        return [1e3 * np.log(bars.close[-1] / bars.close[-2]), session.progress]

features = Mine()
"""
REFERENCE = "minefeatures:features"


@contextmanager
def module_folder(folder: Path) -> Iterator[None]:
    """Work in `folder`, which gets MODULE as minefeatures.py; what is imported meanwhile is forgotten at the end."""
    before, path, working = set(sys.modules), list(sys.path), Path.cwd()
    (folder / "minefeatures.py").write_text(MODULE)
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(working)
        sys.path[:] = path
        for name in set(sys.modules) - before:
            del sys.modules[name]
