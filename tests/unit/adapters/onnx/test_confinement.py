"""Confinement: a model file that hangs, takes too much memory or crashes the runtime does so in a separate process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper
from tests.support.onnx_models import NOT_RECURRENT, OBSERVATION, PROBABILITIES, doubling, graph, with_work, write

from tradingsignals_server.adapters.onnx import confinement
from tradingsignals_server.adapters.onnx.errors import ModelRefused
from tradingsignals_server.adapters.onnx.policy import OnnxPolicy
from tradingsignals_server.adapters.onnx.repository import load_newest
from tradingsignals_server.commands.check import check
from tradingsignals_server.domain.errors import ModelNotLoaded


def expensive_to_load() -> bytes:
    """Return a file with a thousand products of large matrices, which are computed at load time."""
    nodes = [helper.make_node("MatMul", [f"m{n}" if n else "a", "a"], [f"m{n + 1}"]) for n in range(1000)]
    size = np.zeros((1200, 1200))
    return with_work([*nodes, helper.make_node("ReduceMax", ["m1000"], ["work"], keepdims=0)], {"a": size})


def memory_hungry() -> bytes:
    """Return a file that adds two vectors to a matrix of 6.4 GB."""
    nodes = [helper.make_node("Add", ["a", "b"], ["ab"]), helper.make_node("ReduceMax", ["ab"], ["work"], keepdims=0)]
    return with_work(nodes, {"a": np.zeros((40_000, 1)), "b": np.zeros((1, 40_000))})


TOO_SLOW = "does not load and decide within 2 s; export a smaller network, without functions and nested graphs"
TOO_LARGE = "takes more than 2048 MiB of memory to load and decide; export a smaller network"


@pytest.mark.parametrize(
    ("make", "expected"), [(expensive_to_load, TOO_SLOW), (doubling, TOO_SLOW), (memory_hungry, TOO_LARGE)]
)
@pytest.mark.slow
def test_file_that_exceeds_a_limit_is_refused(
    make: Any, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if expected == TOO_SLOW:  # what takes too much memory is not to be refused for the time that Python takes to start
        monkeypatch.setattr(confinement, "CPU_SECONDS", 2)
    path = write(tmp_path, make())
    with pytest.raises(ModelRefused) as refused:
        check(path)
    assert str(refused.value) == f"{path}: {expected}"
    with pytest.raises(ModelNotLoaded, match=r"MODEL_PATH: .*export a smaller network"):
        load_newest(path, "MODEL_PATH")


def child(monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Replace the process that loads the file by a process that runs `script`."""
    run = subprocess.run
    monkeypatch.setattr(subprocess, "run", lambda _, **options: run([sys.executable, "-c", script], **options))


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", r"crashes onnxruntime .* \(exit status -11\)"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "takes more than 2048 MiB of memory"),
        ("raise SystemExit(3)", r"crashes onnxruntime .* \(exit status 3\)"),
        ("import signal; signal.pause()", "does not load and decide within 20 s"),
    ],
    ids=["segmentation fault", "killed", "exit", "blocks"],
)
def test_file_that_crashes_or_blocks_the_process_is_refused(
    script: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(confinement, "TIMEOUT_S", 1.0 if "pause" in script else 60.0)
    child(monkeypatch, script)
    with pytest.raises(ModelRefused, match=expected):
        OnnxPolicy(write(tmp_path, graph()), confined=True)


def test_valid_file_loads_in_the_separate_process(tmp_path: Path) -> None:
    path = write(tmp_path, graph(OBSERVATION, PROBABILITIES, metadata=NOT_RECURRENT))
    assert OnnxPolicy(path, confined=True).specification == OnnxPolicy(path).specification


def test_refusal_is_the_same_in_the_separate_process(tmp_path: Path) -> None:
    path = write(tmp_path, graph(opset=999))
    reasons = []
    for confined in (True, False):
        with pytest.raises(ModelRefused) as refused:
            OnnxPolicy(path, confined=confined)
        reasons.append(str(refused.value))
    assert reasons[0] == reasons[1]


def test_process_imports_no_modules_from_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit(9)")
    monkeypatch.chdir(tmp_path)
    assert OnnxPolicy(write(tmp_path, graph()), confined=True).batch_sizes
