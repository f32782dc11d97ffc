"""What a worker process writes: responses and errors, each with its kind and length."""

from __future__ import annotations

import asyncio
import json
import struct
from typing import BinaryIO

from ...domain.errors import FieldViolation, ServiceError, restored

RESPONSE, ERROR = b"R", b"E"
_HEAD = struct.Struct(">cI")


def write_response(out: BinaryIO, response: bytes) -> None:
    """Write a response."""
    _write(out, RESPONSE, response)


def write_error(out: BinaryIO, error: ServiceError) -> None:
    """Write the error that has ended the run."""
    violations = [(violation.field, violation.description) for violation in error.violations]
    public = {
        "reason": error.reason,
        "message": error.message,
        "metadata": dict(error.metadata),
        "violations": violations,
    }
    _write(out, ERROR, json.dumps(public).encode())


async def read_frame(source: asyncio.StreamReader) -> bytes | None:
    """Return the next response; None at the end of the output.

    Raises:
        ServiceError: the run ended with it.
    """
    try:
        kind, size = _HEAD.unpack(await source.readexactly(_HEAD.size))
        content = await source.readexactly(size)
    except asyncio.IncompleteReadError:
        return None
    if kind == RESPONSE:
        return content
    public = json.loads(content)
    violations = [FieldViolation(*violation) for violation in public["violations"]]
    raise restored(public["reason"], public["message"], public["metadata"], violations)


def _write(out: BinaryIO, kind: bytes, content: bytes) -> None:
    out.write(_HEAD.pack(kind, len(content)) + content)
    out.flush()
