"""A model file that hangs, swallows memory or crashes the runtime does it in a process of its own, and is refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper
from tests.support.onnx_models import MEMORYLESS, OBSERVATION, PROBABILITIES, doubling, graph, with_work, write

from tradingsignals_server.adapters.onnx import confinement
from tradingsignals_server.adapters.onnx.errors import ModelRefused
from tradingsignals_server.adapters.onnx.policy import OnnxPolicy
from tradingsignals_server.adapters.onnx.repository import load_newest
from tradingsignals_server.commands.check import check
from tradingsignals_server.domain.errors import ModelNotLoaded


def endless() -> bytes:
    """A thousand products of large matrices, computed while the file is loaded."""
    nodes = [helper.make_node("MatMul", [f"m{n}" if n else "a", "a"], [f"m{n + 1}"]) for n in range(1000)]
    size = np.zeros((1200, 1200))
    return with_work([*nodes, helper.make_node("ReduceMax", ["m1000"], ["work"], keepdims=0)], {"a": size})


def swallowing() -> bytes:
    """Two vectors that are added to a matrix of 6.4 GB."""
    nodes = [helper.make_node("Add", ["a", "b"], ["ab"]), helper.make_node("ReduceMax", ["ab"], ["work"], keepdims=0)]
    return with_work(nodes, {"a": np.zeros((40_000, 1)), "b": np.zeros((1, 40_000))})


TOO_SLOW = "does not load and decide within 2 s; export a smaller network, without functions and nested graphs"
TOO_LARGE = "takes more than 2048 MiB of memory to load and decide; export a smaller network"


@pytest.mark.parametrize(("make", "expected"), [(endless, TOO_SLOW), (doubling, TOO_SLOW), (swallowing, TOO_LARGE)])
@pytest.mark.slow
def test_a_file_that_takes_too_much_is_refused(
    make: Any, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(confinement, "CPU_SECONDS", 2)
    path = write(tmp_path, make())
    with pytest.raises(ModelRefused) as refused:
        check(path)
    assert str(refused.value) == f"{path}: {expected}"
    with pytest.raises(ModelNotLoaded, match=r"MODEL_PATH: .*export a smaller network"):
        load_newest(path, "MODEL_PATH")


def child(monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Let another program take the place of the process that loads the file."""
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
    ids=["segmentation fault", "killed", "exit", "waits for ever"],
)
def test_a_file_that_ends_the_process_is_refused(
    script: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(confinement, "TIMEOUT_S", 1.0 if "pause" in script else 60.0)
    child(monkeypatch, script)
    with pytest.raises(ModelRefused, match=expected):
        OnnxPolicy(write(tmp_path, graph()), confined=True)


def test_a_file_that_serves_serves_after_its_trial(tmp_path: Path) -> None:
    path = write(tmp_path, graph(OBSERVATION, PROBABILITIES, metadata=MEMORYLESS))
    assert OnnxPolicy(path, confined=True).specification == OnnxPolicy(path).specification


def test_a_refusal_is_the_same_in_the_process_of_its_own(tmp_path: Path) -> None:
    path = write(tmp_path, graph(opset=999))
    reasons = []
    for confined in (True, False):
        with pytest.raises(ModelRefused) as refused:
            OnnxPolicy(path, confined=confined)
        reasons.append(str(refused.value))
    assert reasons[0] == reasons[1]


def test_the_process_does_not_take_modules_from_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit(9)")
    monkeypatch.chdir(tmp_path)
    assert OnnxPolicy(write(tmp_path, graph()), confined=True).batch_sizes
