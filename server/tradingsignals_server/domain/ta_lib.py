"""TA-Lib, imported without pandas.

The package imports pandas if it is installed, as the extra `train` does, to accept its series, and wraps every function
for them. Nothing here has a series, and that import is a quarter of the processor time of a start.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

_PANDAS = "pandas"


def _imported() -> ModuleType:
    """Import TA-Lib as if pandas were not installed, unless it is imported already."""
    if _PANDAS in sys.modules:
        return importlib.import_module("talib")
    sys.modules[_PANDAS] = None  # type: ignore[assignment] # which the import system takes for a missing module
    try:
        return importlib.import_module("talib")
    finally:
        del sys.modules[_PANDAS]


talib = _imported()
