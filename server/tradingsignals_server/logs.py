"""Log lines: JSON for machines, short text for people; every line of a call carries its request id."""

from __future__ import annotations

import json
import logging
import re
import sys
from datetime import UTC, datetime
from typing import Any, TextIO

from .config import LogFormat
from .transport.grpc.metadata import request_id

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""Control characters, line separators, and what turns the direction of text."""

_encode = json.JSONEncoder(default=str).encode
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "request_id"}


def configure(level: str, log_format: LogFormat) -> None:
    """Send all log lines to standard error, in the format asked for."""
    as_json = log_format is LogFormat.JSON or (log_format is LogFormat.AUTO and not sys.stderr.isatty())
    handler = _StandardError()
    handler.setFormatter(JsonFormatter() if as_json else TextFormatter())
    handler.addFilter(_with_request_id)
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # Our lines do not say where in the code they were written, nor by which thread: so it is not found out for each.
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    # grpc.aio logs every aborted call a second time, with a traceback of our own abort.
    logging.getLogger("grpc._cython.cygrpc").setLevel(logging.CRITICAL)
    # While the database is away the pool tells of every attempt, with a traceback; we tell of it once.
    logging.getLogger("asyncpg.pool").setLevel(logging.ERROR)


class _StandardError(logging.StreamHandler[TextIO]):
    """Writes to standard error as it is at the time: a progress bar replaces it, to keep itself below the lines."""

    def emit(self, record: logging.LogRecord) -> None:
        """See logging.Handler."""
        self.stream = sys.stderr
        super().emit(record)


def _with_request_id(record: logging.LogRecord) -> bool:
    record.request_id = request_id.get()
    return True


def _extra(record: logging.LogRecord) -> dict[str, Any]:
    return {key: value for key, value in vars(record).items() if key not in _STANDARD and value != ""}


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, request_id, and whatever else the line brings."""

    def format(self, record: logging.LogRecord) -> str:
        """See logging.Formatter."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if named := getattr(record, "request_id", ""):
            line["request_id"] = named
        line.update(_extra(record))
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return _encode(line)


class TextFormatter(logging.Formatter):
    """Time, level, message and what the line brings, for a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """See logging.Formatter."""
        time = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
        brought = " ".join(f"{key}={value}" for key, value in _extra(record).items())
        line = f"{time} {record.levelname:<7} {record.getMessage()}" + (f"  {brought}" if brought else "")
        lines = [line]
        if record.exc_info:
            # No line of a traceback begins where lines of the log begin: its texts may be a caller's.
            lines += [f"  {traced}" for traced in self.formatException(record.exc_info).split("\n")]
        return "\n".join(map(_printable, lines))


def _printable(line: str) -> str:
    """Escape what would end the line or steer a terminal: what a caller sent may be in it."""
    if line.isprintable():
        return line
    return _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), line)
