"""The TypeScript client as a user installs it, and programs that use it."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from .deadlines import DEADLINE, within

CLIENTS = Path(__file__).parents[2] / "clients"
TOOLS = CLIENTS / "node_modules"
NODE = shutil.which("node")
MISSING = "" if NODE and (TOOLS / "typescript").exists() else "Node or the packages of clients/ are missing (npm ci)"
"""Why the client cannot be used on this machine, empty if it can."""

_PROGRAMS = Path(__file__).parent / "typescript"


class TypescriptProject:
    """A project that has the packed client installed, and nothing that the client does not declare."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @classmethod
    async def create(cls, folder: Path) -> TypescriptProject:
        """Pack the client and install the package, with the dependencies that it declares, into an empty folder."""
        project = cls(folder)
        (folder / "package.json").write_text('{"type": "module"}')
        pack = ("npm", "pack", "--workspace", "typescript", "--pack-destination", folder, "--json")
        packed = json.loads((await _output(*pack, folder=CLIENTS)).partition("[")[2].join(("[", "")))
        modules = folder / "node_modules"
        (modules / "package").parent.mkdir()
        await _output("tar", "-xzf", folder / packed[0]["filename"], "-C", modules, folder=folder)
        installed = (modules / "package").rename(modules / "trading-signals-client")
        manifest = json.loads((installed / "package.json").read_text())
        for name in manifest["dependencies"]:
            (modules / name).parent.mkdir(exist_ok=True)
            (modules / name).symlink_to(TOOLS / name)
        for program in _PROGRAMS.iterdir():
            shutil.copy(program, folder)
        return project

    async def run_typescript(self, *sources: str) -> list[str]:
        """Compile programs by the strictest types, run them, and return what each has printed."""
        types = self._folder / "node_modules" / "@types"
        types.mkdir(exist_ok=True)
        (types / "node").symlink_to(TOOLS / "@types" / "node")
        names = [f"program{number}" for number, _ in enumerate(sources)]
        for name, source in zip(names, sources, strict=True):
            (self._folder / f"{name}.ts").write_text(source)
        options = ("--strict", "--target", "es2022", "--module", "nodenext", "--types", "node")
        await _output(TOOLS / ".bin" / "tsc", *options, *[f"{name}.ts" for name in names], folder=self._folder)
        return [await _output("node", f"{name}.js", folder=self._folder) for name in names]

    async def calls(self, address: str, protocol: str, calls: list[Any] | None = None) -> list[dict[str, Any]]:
        """Make calls, each a list of service, method and request, and return how each has ended.

        Without `calls`: every call of the contract.
        """
        given = () if calls is None else (json.dumps(calls),)
        printed = await _output("node", "calls.mjs", address, protocol, *given, folder=self._folder)
        return [json.loads(line) for line in printed.splitlines()]

    @asynccontextmanager
    async def follower(
        self, address: str, protocol: str, method: str = "follow", **options: Any
    ) -> AsyncIterator[TypescriptFollower]:
        """Follow in a process of its own, until the end of the context."""
        process = await asyncio.create_subprocess_exec(
            *("node", "follow.mjs", address, protocol, method, json.dumps(options)), cwd=self._folder, stdout=-1
        )
        follower = TypescriptFollower(process)
        reading = asyncio.create_task(follower.read())
        try:
            yield follower
        finally:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGKILL)
            await within(reading)
            await within(process.wait())


class TypescriptFollower:
    """What a follower in another process has yielded and reported."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.sequences: list[int] = []
        self.notices: list[dict[str, Any]] = []
        self.error: dict[str, Any] | None = None
        self._process = process
        self._changed = asyncio.Event()

    async def read(self) -> None:
        """Read what it prints until it ends."""
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            printed = json.loads(line)
            if "error" in printed:
                self.error = printed
            elif "notice" in printed:
                self.notices.append(printed)
            else:
                self.sequences.append(printed["sequence"])
            self._changed.set()

    async def reached(self, sequence: int) -> list[int]:
        """Return all sequences once this one has come."""
        await self._until(lambda: self.sequences[-1:] >= [sequence])
        return self.sequences

    async def failed(self) -> dict[str, Any]:
        """Return the error with which it has ended."""
        await self._until(lambda: self.error is not None)
        assert self.error is not None
        return self.error

    async def connected(self, times: int) -> None:
        """Wait until its stream has been accepted so many times."""
        await self._until(lambda: sum(each["notice"] == "connected" for each in self.notices) >= times)

    async def _until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(2 * DEADLINE):
            while not condition():
                self._changed.clear()
                await self._changed.wait()


def examples() -> list[str]:
    """Return the TypeScript programs of the client's README."""
    return re.findall(r"```ts\n(.*?)```", (CLIENTS / "typescript" / "README.md").read_text(), re.DOTALL)


async def _output(*command: str | Path, folder: Path) -> str:
    """Run a command, and return what it has printed."""
    process = await asyncio.create_subprocess_exec(*command, cwd=folder, stdout=-1, stderr=-1)
    out, errors = await within(process.communicate(), 4 * DEADLINE)
    assert process.returncode == 0, (out + errors).decode()
    return out.decode()
