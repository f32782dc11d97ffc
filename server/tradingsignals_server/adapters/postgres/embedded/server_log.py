"""The log of an embedded PostgreSQL server, read from its output."""

from __future__ import annotations

import asyncio
import logging
import re
from collections import deque

from .programs import EmbeddedPostgresError

_logger = logging.getLogger(__name__)

_SILENCE_S = 30.0
"""A starting server that writes nothing for so long is given up."""
_LOG_LINE = re.compile(r"(?P<backend>[^|]*)\|(?P<severity>[A-Z]+): +(?P<text>.*)")
_LOG_LEVELS = {"WARNING": logging.WARNING, "ERROR": logging.ERROR, "FATAL": logging.ERROR, "PANIC": logging.ERROR}
_READY = "database system is ready to accept connections"
_LINES_KEPT = 5
_LONGEST_LINE = 4096  # bytes


class ServerLog(asyncio.Protocol):
    """Writes the lines of a server's log to ours, and keeps the last ones for an error message.

    Ordinary lines have the level DEBUG, and so have those about a client's own statement, which the client receives.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._transport: asyncio.BaseTransport | None = None
        self._ready: asyncio.Future[bool] = loop.create_future()
        self._last_line_at = loop.time()
        self._last: deque[str] = deque(maxlen=_LINES_KEPT)
        self._partial_line = b""
        self._in_service = False

    async def wait_until_ready(self) -> None:
        """Wait until the server accepts connections.

        Raises:
            EmbeddedPostgresError: it ended, or wrote nothing for too long.
        """
        while not self._ready.done():
            remaining = self._last_line_at + _SILENCE_S - self._loop.time()
            if remaining <= 0:
                raise EmbeddedPostgresError(f"PostgreSQL does not start: {self._last_lines()}")
            await asyncio.wait([self._ready], timeout=remaining)
        if not self._ready.result():
            raise EmbeddedPostgresError(f"PostgreSQL does not start: {self._last_lines()}")
        self._in_service = True

    def expect_end(self) -> None:
        """Log ends of processes at DEBUG from now on."""
        self._in_service = False

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        *lines, self._partial_line = (self._partial_line + data).split(b"\n")
        self._partial_line = self._partial_line[-_LONGEST_LINE:]
        for line in lines:
            self._take(line.decode(errors="replace"))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        if not self._ready.done():
            self._ready.set_result(False)

    def _take(self, line: str) -> None:
        self._last_line_at = self._loop.time()
        match = _LOG_LINE.fullmatch(line)
        backend, severity, text = match.group("backend", "severity", "text") if match else ("", "", line.strip())
        self._last.append(text)
        is_expected = backend == "client backend" or not self._in_service
        level = logging.DEBUG if is_expected else _LOG_LEVELS.get(severity, logging.DEBUG)
        _logger.log(level, "PostgreSQL: %s", text)
        if text == _READY and not self._ready.done():
            self._ready.set_result(True)

    def _last_lines(self) -> str:
        return "; ".join(self._last) or "it said nothing"
