"""A page in a real browser that reports to a test."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from .deadlines import within

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

PAGES = "http://pages.example"
"""Origin of the pages that `page_in_browser` shows, for CORS_ORIGINS."""


class Page:
    """The files of a page, and the bodies that it has posted to /report, in order."""

    def __init__(self, files: Mapping[str, tuple[str, bytes]]) -> None:
        self._files = files
        self._reports: asyncio.Queue[Any] = asyncio.Queue()

    async def next_report(self) -> Any:
        """Return the next report of the page."""
        return await within(self._reports.get())

    async def respond(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one request."""
        with suppress(OSError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            path = head.split(" ", 2)[1].partition("?")[0]
            kind, body, status = "text/plain", b"", "200 OK"
            if path == "/report":
                lines = (line.partition(":") for line in head.lower().splitlines())
                length = next(int(value) for name, _, value in lines if name == "content-length")
                self._reports.put_nowait(json.loads(await reader.readexactly(length)))
            elif path in self._files:
                kind, body = self._files[path]
            else:
                status = "404 Not Found"
            writer.write(
                f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n"
                "connection: close\r\n\r\n".encode()
                + body
            )
            await writer.drain()
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


@asynccontextmanager
async def served(page: Page) -> AsyncIterator[int]:
    """Serve a page on this machine, at the port that this gives."""
    server = await asyncio.start_server(page.respond, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@asynccontextmanager
async def page_in_browser(folder: Path, files: Mapping[str, tuple[str, bytes]], query: str) -> AsyncIterator[Page]:
    """A browser that shows `/` of `files` (path to content type and content); neither outlives the context."""
    assert CHROMIUM is not None
    page = Page(files)
    server = await asyncio.start_server(page.respond, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        CHROMIUM,
        "--headless=new",
        "--no-sandbox",  # which root may not have
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-first-run",
        f"--user-data-dir={folder}",
        f"--host-resolver-rules=MAP pages.example 127.0.0.1:{port}",
        f"{PAGES}/?{query}",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield page
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await within(process.wait())
        server.close()
