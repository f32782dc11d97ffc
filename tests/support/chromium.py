"""Chromium without a window, driven over the pipe of its DevTools protocol, which needs no other program."""

from __future__ import annotations

import asyncio
import base64
import fcntl
import json
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

from .browser import CHROMIUM
from .deadlines import DEADLINE, within


class ScriptFailed(Exception):
    """A script in the page has thrown."""


class Tab:
    """A tab: what it shows, and what it has complained about."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.complaints: list[str] = []
        """Messages of the browser, violations of the content security policy among them, and uncaught exceptions."""
        self._reader = reader
        self._writer = writer
        self._ids = count(1)
        self._results: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._session: str | None = None
        self._loaded = asyncio.Event()

    async def show(self, url: str) -> None:
        """Open `url` and wait until it has loaded."""
        self._loaded.clear()
        await self.send("Page.navigate", url=url)
        await within(self._loaded.wait())

    async def run(self, script: str, seconds: float = DEADLINE) -> Any:
        """Return the value of an expression, awaited for so many seconds if it is a promise.

        Raises:
            ScriptFailed: it has thrown.
        """
        sent = {"expression": script, "awaitPromise": True, "returnByValue": True, "userGesture": True}
        response = await self._send("Runtime.evaluate", sent, seconds)
        if "exceptionDetails" in response:
            raise ScriptFailed(json.dumps(response["exceptionDetails"]))
        return response["result"].get("value")

    async def shows(self, condition: str) -> bool:
        """Wait until `condition`, an expression that may throw at first, is true in the page."""
        look = "const look = () => { let found = false; try { found = (" + condition + "); } catch { } "
        done = "found ? resolve(true) : setTimeout(look, 20); }; look();"
        try:
            return bool(await self.run(f"new Promise((resolve) => {{ {look}{done} }})"))
        except TimeoutError as error:
            raise AssertionError(f"the page does not come to {condition}") from error

    async def resize(self, width: int, height: int = 900, *, dark: bool = False) -> None:
        """Set the size of the page in CSS pixels, and the theme that the user prefers."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        await self.send("Emulation.setDeviceMetricsOverride", **metrics)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.send("Emulation.setEmulatedMedia", features=[scheme])

    async def screenshot(self, kind: str = "png") -> bytes:
        """What is shown, as a file of a kind: png or webp."""
        response = await self.send("Page.captureScreenshot", format=kind, **({} if kind == "png" else {"quality": 85}))
        return base64.b64decode(response["data"])

    async def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command of the DevTools protocol and return its result."""
        return await self._send(method, parameters, DEADLINE)

    async def _send(self, method: str, parameters: dict[str, Any], seconds: float) -> dict[str, Any]:
        number = next(self._ids)
        command: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if self._session:
            command["sessionId"] = self._session
        self._results[number] = asyncio.get_running_loop().create_future()
        self._writer.write(json.dumps(command).encode() + b"\0")
        await self._writer.drain()
        response = await within(self._results[number], seconds)
        if "error" in response:
            raise RuntimeError(f"{method}: {response['error']}")
        result: dict[str, Any] = response.get("result", {})
        return result

    async def attach(self) -> None:
        """Open the tab."""
        target = (await self.send("Target.createTarget", url="about:blank"))["targetId"]
        self._session = (await self.send("Target.attachToTarget", targetId=target, flatten=True))["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            await self.send(f"{domain}.enable")

    async def listen(self) -> None:
        """Receive results and events until the browser ends."""
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                message = json.loads((await self._reader.readuntil(b"\0"))[:-1])
                if "id" in message:
                    result = self._results.pop(message["id"])
                    if not result.done():  # nothing waits any more for one that came too late
                        result.set_result(message)
                else:
                    self._on_event(message["method"], message["params"])

    def _on_event(self, method: str, parameters: dict[str, Any]) -> None:
        match method:
            case "Page.loadEventFired":
                self._loaded.set()
            case "Log.entryAdded" if parameters["entry"]["level"] in {"error", "warning"}:
                entry = parameters["entry"]
                self.complaints.append(f"{entry['source']}: {entry['text']} {entry.get('url', '')}")
            case "Runtime.exceptionThrown":
                self.complaints.append(json.dumps(parameters["exceptionDetails"]))
            case "Runtime.consoleAPICalled" if parameters["type"] in {"error", "warning"}:
                self.complaints.append(json.dumps(parameters["args"]))


@asynccontextmanager
async def chromium(profile: Path) -> AsyncIterator[Tab]:
    """A tab of a browser of its own, with its files in `profile`; it does not outlive the context.

    Names that end in `.example` lead to this machine.
    """
    assert CHROMIUM is not None
    commands, to_browser = os.pipe()
    from_browser, results = os.pipe()
    process = await asyncio.create_subprocess_exec(
        CHROMIUM,
        "--headless=new",
        "--no-sandbox",  # which root may not have
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--remote-debugging-pipe",
        f"--user-data-dir={profile}",
        "--host-resolver-rules=MAP *.example 127.0.0.1",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
        pass_fds=(3, 4),  # where the browser reads commands and writes results
        preexec_fn=_moved(commands, results),
    )
    os.close(commands)
    os.close(results)
    reader, writer = await _streams(from_browser, to_browser)
    tab = Tab(reader, writer)
    listening = asyncio.create_task(tab.listen())
    try:
        await tab.attach()
        yield tab
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await within(process.wait())
        await within(listening)
        writer.close()


def _moved(commands: int, results: int) -> Callable[[], None]:
    """Return a function that makes them the files 3 and 4, of which either may be one of them."""

    def move() -> None:
        high = [fcntl.fcntl(descriptor, fcntl.F_DUPFD, 10) for descriptor in (commands, results)]
        for descriptor, wanted in zip(high, (3, 4), strict=True):
            os.dup2(descriptor, wanted)

    return move


async def _streams(from_browser: int, to_browser: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=1 << 26)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(from_browser, "rb", 0))
    transport, protocol = await loop.connect_write_pipe(
        asyncio.streams.FlowControlMixin, os.fdopen(to_browser, "wb", 0)
    )
    return reader, asyncio.StreamWriter(transport, protocol, None, loop)
