"""Commands of the command line, run as users run them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from .deadlines import DEADLINE, within
from .service import COMMAND, kept_environment


@dataclass(frozen=True, slots=True)
class Ended:
    """Exit code and output of a command."""

    code: int
    output: str


class RunningCommand:
    """A running command."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def ended(self, seconds: float = 3 * DEADLINE) -> Ended:
        """Wait until it has ended."""
        out, _ = await within(self.process.communicate(), seconds)
        code = self.process.returncode
        assert code is not None
        return Ended(code, out.decode())


@asynccontextmanager
async def running_command(*arguments: object, **settings: str) -> AsyncIterator[RunningCommand]:
    """Run `tradingsignals` with these arguments and settings; it is killed at the end of the context.

    Its environment is otherwise that of a service of the tests: libraries compute the same to the last bit in both.
    """
    process = await asyncio.create_subprocess_exec(
        COMMAND,
        *[str(argument) for argument in arguments],
        cwd="/",
        env={**kept_environment(), **settings},
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


async def run(*arguments: object, **settings: str) -> Ended:
    """Run `tradingsignals` with these arguments and settings to its end."""
    async with running_command(*arguments, **settings) as command:
        return await command.ended()
