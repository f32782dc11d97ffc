"""The notebook docs/notebooks/own_model.ipynb runs from its first cell to its last."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from tests.support.deadlines import within
from tests.support.folders import scratch_folder
from tests.support.ports import free_ports

NOTEBOOK = Path(__file__).parents[2] / "docs/notebooks/own_model.ipynb"
DEADLINE_S = 300.0


def program() -> str:
    """Return the cells of code as one program."""
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    return "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")


async def output_of(folder: Path) -> tuple[int, str]:
    """Run the notebook in a folder, on free ports; return its exit code and its output."""
    (folder / "notebook.py").write_text(program(), encoding="utf-8")
    names = ("SIGNAL_SERVICE_PORT", "GRPC_PORT", "FANOUT_PORT", "METRICS_PORT", "EDGE_METRICS_PORT")
    ports = {name: str(port) for name, port in zip(names, free_ports(5), strict=True)}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "notebook.py",
        cwd=folder,
        env={**os.environ, **ports, "PYTHONUNBUFFERED": "1"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        printed, _ = await within(process.communicate(), DEADLINE_S)
    finally:
        with suppress(ProcessLookupError):  # of a notebook that failed, the service still runs
            os.killpg(process.pid, signal.SIGTERM)
    assert process.returncode is not None
    return process.returncode, printed.decode()


@pytest.mark.slow
async def test_own_models_are_trained_exported_checked_and_watched_as_shadows() -> None:
    pytest.importorskip("torch", reason="needs the extra `train`: make setup-train")
    pytest.importorskip("sb3_contrib", reason="needs the extra `train`: make setup-train")
    with scratch_folder() as folder:
        code, printed = await output_of(folder)
    assert code == 0, printed
    assert "parity with torch over" in printed
    assert "deterministic, without look-ahead, and finite" in printed
    for name, version in (("mine", "1"), ("from-bars", "2")):
        counts = [int(count) for count in re.findall(rf"^{name} {version}: (\d+) decisions", printed, re.MULTILINE)]
        assert counts, printed
        assert counts[-1] >= 500
    assert re.findall(r"^decisions that failed: (\d+)$", printed, re.MULTILINE) == ["0", "0"]
    assert "python:myfeatures:features" in printed
    assert "bars: the newest 20" in printed
    assert printed.rstrip().endswith("ended with 0")
