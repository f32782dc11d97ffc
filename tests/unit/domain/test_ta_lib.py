"""TA-Lib is imported without pandas."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import sys
import tradingsignals_server.domain.indicators
print("pandas" in sys.modules)
import pandas
print(pandas.Series([1.0]).sum())
"""


def test_import_of_indicators_leaves_pandas_out_and_importable() -> None:
    pytest.importorskip("pandas", reason="the extra `train` brings pandas")
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["False", "1.0"]
