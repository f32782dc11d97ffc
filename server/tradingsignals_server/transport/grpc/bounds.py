"""The size of a refusal: status message and details stay below 4 KB of trailers, whatever the request holds.

All callers behind the edge share one connection, and a header block that is larger than the other side takes ends it.
"""

from __future__ import annotations

import base64
import re
from typing import Final

MAX_STATUS_BYTES: Final = 3_900
"""Size of `grpc-message` and `grpc-status-details-bin` together, as they are sent: 4 KB less the names."""
MAX_QUOTED: Final = 64
"""Characters of what a caller sent that an error repeats."""
MAX_MESSAGE_BYTES: Final = 1_000
"""Size of a status message, percent-encoded."""
MAX_TEXT_BYTES: Final = 200
"""Size of the description of a violation, or of one value of an error's metadata, percent-encoded."""

_ELLIPSIS: Final = "..."
_NOT_PLAIN = re.compile(rb"[^\x20-\x24\x26-\x7e]")


def percent_encoded(message: str) -> bytes:
    """Encode a status message: printable ASCII except the percent sign as it is, the rest as %XX of its UTF-8."""
    return _NOT_PLAIN.sub(lambda match: b"%%%02X" % match[0][0], message.encode(errors="replace"))


def binary_header(value: bytes) -> bytes:
    """Encode the value of a `-bin` header: base64 without padding."""
    return base64.b64encode(value).rstrip(b"=")


def cut(text: str, limit: int) -> str:
    """Cut a text so that it takes at most `limit` bytes percent-encoded; one that was cut ends in "..."."""
    head = text[: limit + 1]
    if len(head) == len(text) and len(percent_encoded(text)) <= limit:
        return text
    size, kept = len(_ELLIPSIS), 0
    for character in head:
        size += len(percent_encoded(character))
        if size > limit:
            break
        kept += 1
    return head[:kept] + _ELLIPSIS
