"""The command line: its help, and errors in one line with an exit code."""

from __future__ import annotations

import asyncio
import importlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from tests.support.deadlines import DEADLINE

from tradingsignals_server import __version__
from tradingsignals_server.adapters.feeds.registry import FEEDS
from tradingsignals_server.cli.main import main
from tradingsignals_server.cli.run import run as run_work
from tradingsignals_server.cli.run import run_task
from tradingsignals_server.config.settings import Settings
from tradingsignals_server.domain.errors import StorageUnavailable

COMMANDS = sorted(main.commands)


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty working folder, an environment without settings, and the log left to the test runner."""
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setattr("tradingsignals_server.logs.configure", lambda *_: None)


def run(*words: str, **environment: str) -> Result:
    return CliRunner().invoke(main, words, env=environment, prog_name="tradingsignals")


WHILE_LOADING = """
import signal, sys
from importlib.abc import MetaPathFinder
from tradingsignals_server.__main__ import main

class Looks(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "tradingsignals_server.cli.main":
            print(signal.getsignal(signal.SIGINT) is signal.SIG_DFL)
            sys.exit()

sys.meta_path.insert(0, Looks())
main()
"""


def test_interrupt_while_modules_load_ends_the_process() -> None:
    """As an exception it could be, in a callback of the interpreter; the signal itself ends the process."""
    done = subprocess.run([sys.executable, "-c", WHILE_LOADING], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "True\n"


Started = Callable[[str], list[Settings]]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Started:
    """Replaces a command by one that records the settings it would have started with."""

    def stand_in(module: str) -> list[Settings]:
        kept: list[Settings] = []

        async def start(settings: Settings) -> None:
            kept.append(settings)

        home, _, name = module.rpartition(".")
        monkeypatch.setattr(importlib.import_module(home), name, start)
        return kept

    return stand_in


UP = "tradingsignals_server.commands.up.up"


# ---------------------------------------------------------------------------------------------------------- help


def test_commands_are_the_documented_ones() -> None:
    documented = (
        "backtest backup check config doctor edge explain export features keys ledger migrate notifications parity "
        "replay report restore serve stamp up watch"
    )
    assert documented.split() == COMMANDS


@pytest.mark.parametrize("words", [(), ("--help",), ("-h",)])
def test_help_names_the_first_command_and_lists_all(words: tuple[str, ...]) -> None:
    shown = run(*words).output
    assert "tradingsignals up\n" in shown
    for name in COMMANDS:
        assert re.search(rf"^  {name}\s+\S", shown, re.MULTILINE), name


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_every_command_and_option_has_help(name: str, flag: str) -> None:
    result = run(name, flag)
    assert result.exit_code == 0
    assert f"Usage: tradingsignals {name}" in result.output
    command = main.commands[name]
    assert command.help
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name
            assert parameter.opts[0] in result.output


def test_version_is_printed() -> None:
    assert run("--version").output == f"tradingsignals, version {__version__}\n"


# -------------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize("name", ["config", "up", "serve", "migrate"])
def test_invalid_setting_fails_in_one_line(name: str) -> None:
    result = run(name, GRPC_PORT="70000")
    assert result.exit_code == 1
    assert result.stderr == "tradingsignals: GRPC_PORT=70000: must be a whole number >= 0 and <= 65535\n"
    assert result.stdout == ""


@pytest.mark.parametrize("name", ["config", "up", "serve", "migrate"])
def test_misspelt_setting_fails_in_one_line(name: str) -> None:
    result = run(name, CONFIDENCE_TRESHOLD="0.9")
    assert result.exit_code == 1
    line = "CONFIDENCE_TRESHOLD is not a setting; did you mean CONFIDENCE_THRESHOLD?"
    assert result.stderr == f"tradingsignals: {line}\n"
    assert result.stdout == ""


def test_replay_feed_without_a_file_fails_in_one_line() -> None:
    result = run("up", "--feed", "replay")
    assert (result.exit_code, result.stderr) == (
        1,
        "tradingsignals: FEED=replay needs REPLAY_FILE, the file to replay\n",
    )


class Refused(Exception):
    """An error of ours, as the adapters raise them."""


Refused.__module__ = "tradingsignals_server.adapters.anything"


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (StorageUnavailable(), "the database cannot be reached; nothing is known to be stored, try again"),
        (Refused("port 8003 is taken"), "port 8003 is taken"),
        (ExceptionGroup("tasks", [ExceptionGroup("inner", [Refused("it broke")]), ValueError()]), "it broke"),
    ],
)
def test_expected_error_fails_in_one_line(monkeypatch: pytest.MonkeyPatch, error: Exception, line: str) -> None:
    result = failing(monkeypatch, error)
    assert (result.exit_code, result.stderr) == (1, f"tradingsignals: {line}\n")


@pytest.mark.parametrize("error", [ValueError("a defect"), ExceptionGroup("tasks", [ValueError("a defect")])])
def test_defect_is_raised_unchanged(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    result = failing(monkeypatch, error)
    assert isinstance(result.exception, ValueError)
    assert result.stderr == ""


def failing(monkeypatch: pytest.MonkeyPatch, error: Exception) -> Result:
    """`config`, which fails with this error."""

    def fail(_: Settings) -> str:
        raise error

    monkeypatch.setattr("tradingsignals_server.commands.config.table", fail)
    return run("config")


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("dance",), "No such command 'dance'"),
        (("up", "--bars", "missing.csv"), "missing.csv"),
        (("up", "--speed", "-1"), "-1"),
        (("up", "--speed", "nan"), "'nan' is not a finite number"),
        (("up", "--feed", "pigeon"), "pigeon"),
        (("serve", "--speed", "1"), "--speed"),
        (("replay",), "FILE"),
        (("replay", "missing.csv"), "missing.csv"),
        (("replay", __file__, "--speed", "nan"), "'nan' is not a finite number"),
        (("replay", __file__, "--speed", "inf"), "'inf' is not a finite number"),
        *(
            (("keys", "create", "--name=a", "--role=admin", "--days", days), "Invalid value for '--days'")
            for days in ("nan", "inf", "3e6", "0")
        ),
        (("watch", "--colour"), "--colour"),
        (("edge",), "--out"),
        (("edge", "--out", "x", "--listen", "nowhere"), "must be HOST:PORT"),
        (("edge", "--out", "x", "--backend", "h:70000"), "must be HOST:PORT"),
        (("edge", "--out", "x", "--backend", ":80"), "must be HOST:PORT"),
    ],
)
def test_invalid_usage_names_the_problem(words: tuple[str, ...], problem: str) -> None:
    result = run(*words)
    assert result.exit_code == 2
    assert problem in result.stderr
    assert "Traceback" not in result.stderr


# ---------------------------------------------------------------------------------------------------------- config


def test_config_prints_the_current_settings() -> None:
    result = run("config", SPREAD="0.4")
    assert result.exit_code == 0
    assert "* SPREAD=*=0.4\n" in result.stdout
    assert "  GRPC_PORT=50051\n" in result.stdout


def test_config_example_ignores_invalid_settings() -> None:
    result = run("config", "--example", GRPC_PORT="70000")
    assert result.exit_code == 0
    assert "#GRPC_PORT=50051\n" in result.stdout


# --------------------------------------------------------------------------------- from options to settings


def test_up_without_options_simulates(started: Started) -> None:
    kept = started(UP)
    assert run("up").exit_code == 0
    assert [settings.feed for settings in kept] == [FEEDS["simulate"]]


def test_up_with_a_file_replays_it(started: Started, tmp_path: Path) -> None:
    (tmp_path / "bars.csv").touch()
    kept = started(UP)
    assert run("up", "--bars", "bars.csv", "--speed", "60", FEED="push").exit_code == 0
    (settings,) = kept
    assert (settings.feed, settings.replay_file) == (FEEDS["replay"], Path("bars.csv"))
    assert (settings.replay_speed, settings.simulate_speed) == (60.0, 300.0)


def test_speed_applies_to_the_selected_feed(started: Started) -> None:
    kept = started(UP)
    assert run("up", "--speed", "60").exit_code == 0
    assert run("up", "--speed", "0", "--feed", "simulate").exit_code == 0
    assert run("up", "--speed", "60", FEED="replay", REPLAY_FILE="bars.csv").exit_code == 0
    assert [settings.simulate_speed for settings in kept[:2]] == [60.0, 0.0]
    assert kept[2].replay_speed == 60.0


def test_options_override_the_environment(started: Started) -> None:
    kept = started("tradingsignals_server.commands.up.serve")
    assert run("serve", "--feed", "push", FEED="simulate").exit_code == 0
    assert [settings.feed for settings in kept] == [FEEDS["push"]]


@pytest.mark.parametrize("words", ["watch", "explain 366f0b29-7c85-5545-bbbc-54c88cfb5e91", f"replay {__file__}"])
@pytest.mark.parametrize(
    ("host", "address"), [("127.0.0.2", "127.0.0.2:8100"), ("::", "[::1]:8100"), ("::1", "[::1]:8100")]
)
def test_callers_go_to_the_public_port_of_the_settings(
    monkeypatch: pytest.MonkeyPatch, words: str, host: str, address: str
) -> None:
    addresses: list[str] = []

    async def called(*words: str, address: str = "", **_: Any) -> int:
        addresses.append(address or words[0])
        return 0

    command, *_ = words.split()
    monkeypatch.setattr(f"tradingsignals_server.commands.{command}.{command}", called)
    settings = {"SIGNAL_SERVICE_HOST": host, "SIGNAL_SERVICE_PORT": "8100"}
    assert run(*words.split(), **settings).exit_code == 0
    assert run(*words.split(), "--address", "there:1", SIGNAL_SERVICE_PORT="wrong").exit_code == 0
    assert addresses == [address, "there:1"]


@pytest.mark.parametrize(("result", "code"), [(None, 0), (0, 0), (3, 3)])
def test_replay_exits_with_the_code_of_its_results(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, result: int | None, code: int
) -> None:
    (tmp_path / "bars.csv").touch()
    calls: list[Any] = []

    def replay(*where: Any, **how: Any) -> Coroutine[Any, Any, int | None]:
        calls.append((*where, how))

        async def ended() -> int | None:
            return result

        return ended()

    monkeypatch.setattr("tradingsignals_server.commands.replay.replay", replay)
    assert run("replay", "bars.csv", "--speed", "2", "--symbol", "EURUSD", "--force").exit_code == code
    how = {"speed": 2.0, "symbol": "EURUSD", "address": "127.0.0.1:8003", "force": True}
    assert calls == [(Path("bars.csv"), how)]


@pytest.mark.parametrize(("runs", "code"), [(run_task, 128 + signal.SIGTERM), (run_work, 0)])
def test_a_task_that_a_signal_ends_has_not_succeeded(
    runs: Callable[[Coroutine[Any, Any, int]], int], code: int
) -> None:
    async def ended_by_a_signal() -> int:
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(DEADLINE)
        raise AssertionError("no signal came")

    assert runs(ended_by_a_signal()) == code


@pytest.mark.parametrize(
    "command",
    [
        *("parity", "report --out x.html", "backtest --database", "backup x.dump", "migrate", "ledger rebuild"),
        *("keys list", "keys create --name a --role admin", "notifications list"),
    ],
)
def test_only_a_start_and_a_restoration_make_a_database(command: str, tmp_path: Path) -> None:
    data = tmp_path / "data"
    done = run(*command.split(), DATA_DIR=str(data), MODEL_PATH="placeholder")
    assert done.exit_code == (2 if command == "parity" else 1)
    assert done.output == f"tradingsignals: DATA_DIR={data}: there is no database of a service; name its folder\n"
    assert not data.exists()
