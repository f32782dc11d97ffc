"""Commands of the command line, run as users run them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from .deadlines import within
from .service import COMMAND


@dataclass(frozen=True, slots=True)
class Ended:
    """Exit code and output of a command."""

    code: int
    output: str


class RunningCommand:
    """A running command."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def ended(self, seconds: float = 60.0) -> Ended:
        """Wait until it has ended."""
        out, _ = await within(self.process.communicate(), seconds)
        code = self.process.returncode
        assert code is not None
        return Ended(code, out.decode())


@asynccontextmanager
async def running_command(*arguments: object) -> AsyncIterator[RunningCommand]:
    """Run `tradingsignals` with these arguments; it is killed at the end of the context."""
    process = await asyncio.create_subprocess_exec(
        COMMAND,
        *[str(argument) for argument in arguments],
        cwd="/",
        env={name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        yield RunningCommand(process)
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await within(process.communicate())


async def run(*arguments: object) -> Ended:
    """Run `tradingsignals` with these arguments to its end."""
    async with running_command(*arguments) as command:
        return await command.ended()
