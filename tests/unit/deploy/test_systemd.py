"""The unit of systemd: read without a complaint, and exposed to little."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

UNIT = Path(__file__).resolve().parents[3] / "deploy" / "systemd" / "tradingsignals.service"
MOST_EXPOSED = 20
"""In tenths of systemd's scale, of which 0 is no exposure at all."""

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


@needs_systemd
def test_exposure_is_low() -> None:
    command = ["systemd-analyze", "security", "--offline=yes", f"--threshold={MOST_EXPOSED}", str(UNIT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout[-500:] + done.stderr


@needs_systemd
def test_every_line_is_understood(tmp_path: Path) -> None:
    """Only the program is missing, which is installed where the unit is."""
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/tradingsignals/.venv/bin/tradingsignals", "/bin/true"))
    command = ["systemd-analyze", "verify", "--man=no", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == ""
    assert done.returncode == 0
