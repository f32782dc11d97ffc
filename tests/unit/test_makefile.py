"""Arguments that `make` passes to the commands."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NAMES = ["usdcop.csv", "my file.csv", "it's mine.csv", 'two "quotes".csv', "a;b&c (1)*.csv", "back\\slash.csv"]


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """A .venv whose programs print their arguments, one a line."""
    (tmp_path / "bin").mkdir()
    for name in ("python", "tradingsignals"):
        program = tmp_path / "bin" / name
        program.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
        program.chmod(0o755)
    for name in (".run", ".dev", ".train"):
        (tmp_path / name).touch()
    return tmp_path


def make(*arguments: str) -> tuple[int, list[str]]:
    command = ["/usr/bin/env", "make", "--silent", "--directory", str(ROOT), *arguments]
    # Not that of a make which runs the tests: it would pass on its own variables.
    environ = {"PATH": os.environ["PATH"]}
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False, env=environ)
    return done.returncode, done.stdout.splitlines()


@pytest.mark.parametrize("name", NAMES)
def test_file_of_any_name_is_passed_to_up(environment: Path, name: str) -> None:
    code, given = make("run", f"VENV={environment}", f"BARS={name}", "FEED=push", "ARGS=--speed 60")
    assert (code, given) == (0, ["up", "--bars", name, "--feed", "push", "--speed", "60"])


@pytest.mark.parametrize("name", NAMES)
def test_file_of_any_name_is_passed_to_training(environment: Path, name: str) -> None:
    file = environment / name
    file.touch()
    code, given = make("train", f"VENV={environment}", f"DATA={file}")
    assert (code, given) == (0, ["-m", "models.training", "--data", str(file)])


def test_training_without_a_file_states_its_usage(environment: Path) -> None:
    train = ("train", f"VENV={environment}")
    assert make(*train) == (2, ["make train DATA=file.csv: a file of five-minute bars is needed"])
    assert make(*train, "DATA=not here.csv") == (2, ["make train DATA=file.csv: not here.csv cannot be read"])


def test_benchmarks_are_run_against_the_named_commit_only(environment: Path) -> None:
    # Its own packages are installed already.
    bench = ("bench", f"VENV={environment}", "--old-file=build/peer/.done", "ARGS=generate --runs 2")
    assert make(*bench, "AGAINST=HEAD~1")[1][-6:] == ["benchmarks", "--against", "HEAD~1", "generate", "--runs", "2"]
    assert make(*bench)[1][-4:] == ["benchmarks", "generate", "--runs", "2"]


def test_arguments_come_after_the_options_of_the_tests(environment: Path) -> None:
    code, given = make("test", f"VENV={environment}", "ARGS=-n 0 -k name")
    assert (code, given[:2], given[-4:]) == (0, ["-m", "pytest"], ["-n", "0", "-k", "name"])


def test_lock_keeps_what_is_pinned_unless_it_is_to_upgrade(environment: Path) -> None:
    lock = ("lock", f"VENV={environment}")
    assert make(*lock)[1].count("--upgrade") == 0
    assert make(*lock, "ARGS=--upgrade")[1].count("--upgrade") == make(*lock)[1].count("compile") == 3


def test_lock_files_pin_with_hashes_and_name_no_registry() -> None:
    for file in ROOT.glob("*.lock"):
        lines = file.read_text("utf-8").splitlines()
        assert lines
        assert [line for line in lines if "==" not in line and not line.startswith("    --hash=sha256:")] == []
        assert "://" not in file.read_text("utf-8")
