"""What a newcomer is given to paste does what it says, after `make run` alone."""

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
from tests.support.deadlines import within
from tests.support.folders import scratch_folder
from tests.support.service import COMMAND, RunningService, running_service

from tradingsignals import Signal

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("README.md", "clients/python/README.md", "protos/README.md", "docs/containers.md")
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PROGRAMS = ("curl", ".venv/bin/buf", ".venv/bin/tradingsignals watch")
"""What is pasted while a service runs. The rest needs a file of one's own, another service, or a container engine."""
ENOUGH_LINES = 2
"""Of what a stream prints, which has no end."""


def commands(text: str) -> Iterator[str]:
    """The commands of a block of shell, each with its further lines."""
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
    """Every command, and every whole program in Python, with the page it is on."""
    found = list[tuple[str, str]]()
    for page in PAGES:
        for language, text in BLOCK.findall((ROOT / page).read_text(encoding="utf-8")):
            if language == "sh":
                found += [(page, command) for command in commands(text) if command.startswith(PROGRAMS)]
            elif "tradingsignals.connect" in text:
                found.append((page, shlex.join([".venv/bin/python", "-c", text])))
    return found


def here(command: str, service: RunningService) -> str:
    """The same command for this service and this installation."""
    meant = {
        ".venv/bin/": f"{COMMAND.parent}/",
        "127.0.0.1:8003": service.address,
        "tradingsignals watch": f"tradingsignals watch --address {service.address}",  # by default that of port 8003
    }
    return reduce(lambda text, words: text.replace(*words), meant.items(), command)


def banner_commands(service: RunningService) -> list[str]:
    """The commands that the start has printed."""
    labels = ("in the terminal", "REST", "live (SSE)", "gRPC", "database")
    printed = dict(re.findall(rf"^  ({'|'.join(map(re.escape, labels))})  +(.*)$", service.log, re.MULTILINE))
    assert tuple(printed) == labels, service.log
    printed["database"] += " --command 'SELECT count(*) FROM signals'"
    return list(printed.values())


@dataclass(frozen=True, slots=True)
class Said:
    """The first lines that a command prints, and what it says of errors; `code` is None if it did not end by itself."""

    output: str
    errors: str
    code: int | None


async def said_by(command: str) -> Said:
    """Run a command, with a plain PATH, to its end or until it has said enough."""
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
            line = await within(process.stdout.readline(), 30)
            lines += [line.decode()] if line.strip() else []
            code = None if line else await within(process.wait(), 30)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        _, errors = await within(process.communicate(), 30)
    return Said("".join(lines), errors.decode(), code)


@pytest.fixture(scope="module")
async def demonstration() -> AsyncIterator[RunningService]:
    """The service as `make run` starts it, on ports of its own."""
    with scratch_folder() as folder:
        async with running_service(folder, FEED="", MODEL_PATH="") as service:
            yield service


async def test_the_demonstration_soon_buys_and_sells(demonstration: RunningService) -> None:
    """The sessions that it begins with are there at once; a bar a second follows."""
    seen = list[Signal.Action]()
    async with demonstration.client() as client, client.stream_signals(resume_after=0) as signals:
        while not {Signal.BUY, Signal.SELL} <= set(seen):
            seen.append((await within(anext(signals))).action)
    assert len(seen) <= 240, "before the first bar that is waited for"


async def test_every_command_to_paste_works(demonstration: RunningService) -> None:
    everything = [(page, here(command, demonstration)) for page, command in pasted()]
    assert {page for page, _ in everything} == set(PAGES)
    everything += [("what the start prints", command) for command in banner_commands(demonstration)]

    results = await asyncio.gather(*(said_by(f"cd {ROOT} && {command}") for _, command in everything))
    for (page, command), said in zip(everything, results, strict=True):
        shown = f"{page}: {command}\n{said}"
        assert said.output.strip(), shown
        assert said.code in {None, 0}, shown
        assert not re.search(r'"code": ?\d|Traceback', said.output + said.errors), shown
        if "action=BUY" in command:
            assert '"action":"BUY"' in said.output, shown
        if "Action.Name" in command:
            assert re.search(r"\b(BUY|SELL|HOLD)\b", said.output), shown


def test_bodies_are_sent_as_json() -> None:
    """As the edge asks for it."""
    bodies = [command for _, command in pasted() if command.startswith("curl") and re.search(r"\s-d\s", command)]
    assert bodies
    assert [command for command in bodies if "content-type: application/json" not in command.lower()] == []
