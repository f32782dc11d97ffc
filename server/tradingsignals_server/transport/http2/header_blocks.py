"""Header blocks: assembled from HEADERS and CONTINUATION and decoded, and encoded for sending (RFC 7541).

Sent blocks are literals without indexing (RFC 7541, 6.2.2), so a block is the same bytes on each connection and is
encoded once.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from hpack.exceptions import HPACKError

from . import frames
from .errors import ErrorCode, Http2ConnectionError
from .frames import Frame
from .header_decoder import Header, HeaderDecoder

_EMPTY_TABLE: Final = b"\x20"
"""Dynamic table size update to 0, at the beginning of a header block (RFC 7541, 6.3)."""


class HeaderBlock(NamedTuple):
    """A decoded header block; `end_stream` is true if the request ends with it."""

    stream_id: int
    end_stream: bool
    headers: list[Header]


class HeaderBlockReader:
    """Assembles and decodes the header blocks of one connection.

    A block is decoded even if its stream is refused, since it may change the dynamic table that later blocks refer to.
    """

    def __init__(self, limit: int) -> None:
        """`limit` is the maximum size of a block in bytes, encoded or decoded."""
        self._limit = limit
        self._decoder = HeaderDecoder(limit)
        self._partial: tuple[int, bool, bytearray] | None = None  # stream identifier, END_STREAM, received bytes
        self.started_at: float | None = None
        """When the block started that has not ended yet."""

    def is_interrupted_by(self, frame: Frame) -> bool:
        """Return whether a block has not ended and this frame does not continue it."""
        partial = self._partial
        return partial is not None and (frame.frame_type != frames.CONTINUATION or frame.stream_id != partial[0])

    def start(self, frame: Frame, now: float) -> HeaderBlock | None:
        """Take a HEADERS frame; return the block if it ends with this frame.

        Raises:
            Http2ConnectionError: it cannot be decoded.
        """
        fragment, end_stream = frames.strip_padding(frame), bool(frame.flags & frames.END_STREAM)
        if frame.flags & frames.END_HEADERS:
            return HeaderBlock(frame.stream_id, end_stream, self._decode(fragment))
        self._partial, self.started_at = (frame.stream_id, end_stream, bytearray(fragment)), now
        return None

    def proceed(self, frame: Frame) -> HeaderBlock | None:
        """Take a CONTINUATION frame; return the block if it ends with this frame.

        Raises:
            Http2ConnectionError: no block has started, it is too large, or it cannot be decoded.
        """
        if self._partial is None:
            raise Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, "CONTINUATION without HEADERS")
        stream_id, end_stream, block = self._partial
        block += frame.payload
        if len(block) > self._limit:
            raise Http2ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, "a header block that is too large")
        if not frame.flags & frames.END_HEADERS:
            return None
        self._partial = self.started_at = None
        return HeaderBlock(stream_id, end_stream, self._decode(bytes(block)))

    def _decode(self, block: bytes) -> list[Header]:
        try:
            return self._decoder.decode(block)
        except (HPACKError, IndexError) as error:
            raise Http2ConnectionError(ErrorCode.COMPRESSION_ERROR, "a header block cannot be decoded") from error


class HeaderBlockWriter:
    """Frames the header blocks that are sent on one connection.

    The dynamic table of the peer is never used, so its size matters once: if the peer makes it smaller, the next block
    must signal a new size (RFC 7541, 4.2). The signalled size is 0, which satisfies each later limit.
    """

    def __init__(self) -> None:
        self._prefix = b""
        self._has_table = True

    def limit_table(self, size: int) -> None:
        """Apply SETTINGS_HEADER_TABLE_SIZE of the peer."""
        if self._has_table and size < frames.DEFAULT_HEADER_TABLE_BYTES:
            self._has_table, self._prefix = False, _EMPTY_TABLE

    def frames(self, stream_id: int, block: bytes, *, end_stream: bool) -> bytes:
        """Return the frames of a header block, which must be written before those of any later block."""
        if self._prefix:
            block, self._prefix = self._prefix + block, b""
        return frames.header_frames(stream_id, block, end_stream=end_stream)


def encode_headers(headers: Iterable[Header]) -> bytes:
    """Encode headers as literals without indexing."""
    return b"".join(b"\0" + _string(name) + _string(value) for name, value in headers)


def _string(value: bytes) -> bytes:
    """Encode a string: its length, an integer with a prefix of seven bits (RFC 7541, 5.1), and its bytes."""
    length = len(value)
    if length < 0x7F:
        return bytes((length,)) + value
    out, length = bytearray((0x7F,)), length - 0x7F
    while length > 0x7F:
        out.append(length & 0x7F | 0x80)
        length >>= 7
    out.append(length)
    return bytes(out) + value
