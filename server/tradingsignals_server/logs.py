"""Log lines: JSON for machines, short text for a terminal; every line of a call contains its request id."""

from __future__ import annotations

import json
import logging
import re
import sys
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from .config.field_types import LogFormat
from .transport.grpc.metadata import request_id, trace_id

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""Control characters, line separators, and characters that change the direction of text."""

_encode = json.JSONEncoder(default=str).encode
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "request_id", "trace_id"}


def configure(level: str, log_format: LogFormat) -> None:
    """Send all log lines to standard error, in the format `log_format`."""
    as_json = log_format is LogFormat.JSON or (log_format is LogFormat.AUTO and not sys.stderr.isatty())
    handler = _StandardError()
    handler.setFormatter(JsonFormatter() if as_json else TextFormatter())
    handler.addFilter(_with_ids)
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # Log lines contain neither source location nor thread, so their lookup for each line is disabled.
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    # It logs every request; the feed logs what comes of them.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    logging.getLogger("httpcore").setLevel(logging.WARNING)
    # grpc.aio logs every aborted call a second time, with a traceback of our own abort.
    logging.getLogger("grpc._cython.cygrpc").setLevel(logging.CRITICAL)
    # While the database is unreachable the pool logs every attempt, with a traceback; the service logs it once.
    logging.getLogger("asyncpg.pool").setLevel(logging.ERROR)
    # While the collector of traces is away the exporter logs every attempt; ours logs it once.
    logging.getLogger("opentelemetry.exporter.otlp.proto.grpc").setLevel(logging.CRITICAL)


class _StandardError(logging.Handler):
    """A handler that looks up sys.stderr for each line, because a progress bar replaces it to stay below the lines."""

    def emit(self, record: logging.LogRecord) -> None:
        """See logging.Handler."""
        try:
            sys.stderr.write(f"{self.format(record)}\n")  # which is line buffered
        except Exception:
            self.handleError(record)


def _with_ids(record: logging.LogRecord) -> bool:
    record.request_id, record.trace_id = request_id.get(), trace_id.get()
    return True


def _extra(record: logging.LogRecord) -> dict[str, Any]:
    return {key: value for key, value in vars(record).items() if key not in _STANDARD and value != ""}


def _ids(record: logging.LogRecord) -> dict[str, str]:
    """Return the ids of the call and of its trace that a record has."""
    return {name: value for name in ("request_id", "trace_id") if (value := getattr(record, name, ""))}


class JsonFormatter(logging.Formatter):
    """Formats a line as a JSON object: time, level, logger, message, request_id, trace_id, and the extra fields."""

    def format(self, record: logging.LogRecord) -> str:
        """See logging.Formatter."""
        line: dict[str, Any] = {
            "time": f"{_second(int(record.created))}.{int(record.msecs):03}+00:00",
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        line.update(_ids(record))
        line.update(_extra(record))
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return _encode(line)


@lru_cache(1)
def _second(since_1970: int) -> str:
    return datetime.fromtimestamp(since_1970, UTC).strftime("%Y-%m-%dT%H:%M:%S")


class TextFormatter(logging.Formatter):
    """Formats a line for a terminal: time, level, message, the extra fields of the record, and the ids."""

    def format(self, record: logging.LogRecord) -> str:
        """See logging.Formatter."""
        time = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
        fields = _extra(record) | _ids(record)
        extra = " ".join(f"{key}={value}" for key, value in fields.items())
        line = f"{time} {record.levelname:<7} {record.getMessage()}" + (f"  {extra}" if extra else "")
        lines = [line]
        if record.exc_info:
            # Lines of a traceback are indented, because text of a caller in it must not look like a log line.
            lines += [f"  {traced}" for traced in self.formatException(record.exc_info).split("\n")]
        return "\n".join(map(_printable, lines))


def _printable(line: str) -> str:
    """Escape characters that end a line or control a terminal, because a line may contain text of a caller."""
    if line.isprintable():
        return line
    return _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), line)
