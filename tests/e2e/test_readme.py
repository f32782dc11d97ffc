"""The commands in the documentation work after `make run`."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

import pytest
from tests.support.deadlines import DEADLINE, within
from tests.support.folders import scratch_folder
from tests.support.service import COMMAND, RunningService, running_service

from tradingsignals import Signal

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("README.md", "clients/python/README.md", "protos/README.md", "docs/containers.md")
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PROGRAMS = ("curl", ".venv/bin/buf", ".venv/bin/tradingsignals watch")
"""Commands for a running service. Others need a file of the user, another service, or a container engine."""
ENOUGH_LINES = 2
"""Lines that are read of an endless stream."""


def commands(text: str) -> Iterator[str]:
    """Yield the commands of a block of shell, with continuation lines."""
    pending = ""
    for line in text.splitlines(keepends=True):
        pending += line
        with suppress(ValueError):  # within quotes
            words = shlex.split(pending, comments=True)
            if not line.endswith("\\\n"):
                if words:
                    yield pending.strip()
                pending = ""


def pasted() -> list[tuple[str, str]]:
    """Yield every command, and every complete Python program, with its page."""
    found = list[tuple[str, str]]()
    for page in PAGES:
        for language, text in BLOCK.findall((ROOT / page).read_text(encoding="utf-8")):
            if language == "sh":
                found += [(page, command) for command in commands(text) if command.startswith(PROGRAMS)]
            elif "tradingsignals.connect" in text:
                found.append((page, shlex.join([".venv/bin/python", "-c", text])))
    return found


def here(command: str, service: RunningService) -> str:
    """Adapt a command to this service and this installation."""
    meant = {
        ".venv/bin/": f"{COMMAND.parent}/",
        "127.0.0.1:8003": service.address,
        "tradingsignals watch": f"tradingsignals watch --address {service.address}",  # by default that of port 8003
    }
    return reduce(lambda text, words: text.replace(*words), meant.items(), command)


def banner_commands(service: RunningService) -> list[str]:
    """Return the commands that the start has printed."""
    labels = ("in the terminal", "REST", "live (SSE)", "gRPC", "database")
    printed = dict(re.findall(rf"^  ({'|'.join(map(re.escape, labels))})  +(.*)$", service.log, re.MULTILINE))
    assert tuple(printed) == labels, service.log
    printed["database"] += " --command 'SELECT count(*) FROM signals'"
    return list(printed.values())


@dataclass(frozen=True, slots=True)
class Output:
    """First lines of output and the errors of a command; `code` is None if it was stopped."""

    output: str
    errors: str
    code: int | None


async def output_of(command: str) -> Output:
    """Run a command with a minimal PATH to its end, or until it has printed enough."""
    process = await asyncio.create_subprocess_shell(
        command,
        executable="/bin/bash",
        cwd="/",
        env={"PATH": os.defpath, "HOME": "/nonexistent", "PYTHONUNBUFFERED": "1"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None
    lines, code = list[str](), None
    try:
        while len(lines) < ENOUGH_LINES and code is None:
            line = await within(process.stdout.readline(), 3 * DEADLINE)  # all commands run at once
            lines += [line.decode()] if line.strip() else []
            code = None if line else await within(process.wait())
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        _, errors = await within(process.communicate())
    return Output("".join(lines), errors.decode(), code)


@pytest.fixture(scope="module")
async def demonstration() -> AsyncIterator[RunningService]:
    """The service as `make run` starts it, on other ports."""
    with scratch_folder() as folder:
        async with running_service(folder, FEED="", MODEL_PATH="") as service:
            yield service


async def test_demonstration_soon_has_buy_and_sell_signals(demonstration: RunningService) -> None:
    """The first sessions are stored at once; one bar each second follows."""
    seen = list[Signal.Action]()
    async with demonstration.client() as client, client.stream_signals(resume_after=0) as signals:
        while not {Signal.BUY, Signal.SELL} <= set(seen):
            seen.append((await within(anext(signals))).action)
    assert len(seen) <= 240, "before the first bar that is waited for"


async def test_every_documented_command_works(demonstration: RunningService) -> None:
    everything = [(page, here(command, demonstration)) for page, command in pasted()]
    assert {page for page, _ in everything} == set(PAGES)
    everything += [("what the start prints", command) for command in banner_commands(demonstration)]

    results = await asyncio.gather(*(output_of(f"cd {ROOT} && {command}") for _, command in everything))
    for (page, command), result in zip(everything, results, strict=True):
        shown = f"{page}: {command}\n{result}"
        assert result.output.strip(), shown
        assert result.code in {None, 0}, shown
        assert not re.search(r'"code": ?\d|Traceback', result.output + result.errors), shown
        if "action=BUY" in command:
            assert '"action":"BUY"' in result.output, shown
        if "Action.Name" in command:
            assert re.search(r"\b(BUY|SELL|HOLD)\b", result.output), shown


def test_documented_bodies_are_sent_as_json() -> None:
    """The edge requires it."""
    bodies = [command for _, command in pasted() if command.startswith("curl") and re.search(r"\s-d\s", command)]
    assert bodies
    assert [command for command in bodies if "content-type: application/json" not in command.lower()] == []
