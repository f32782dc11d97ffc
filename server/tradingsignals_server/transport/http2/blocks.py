"""Header blocks as they come in: put together from HEADERS and CONTINUATION, and decoded in their order."""

from __future__ import annotations

from typing import NamedTuple

from hpack import Decoder
from hpack.exceptions import HPACKError

from . import frames
from .frames import ConnectionFailed, ErrorCode, Frame
from .headers import Header


class HeaderBlock(NamedTuple):
    """A whole header block; `ends` is true if the request ends with it."""

    stream: int
    ends: bool
    headers: list[Header]


class HeaderBlocks:
    """The header blocks of one connection.

    Each has to be decoded, also one that nothing comes of: it may change the table that later ones refer to.
    """

    def __init__(self, limit: int) -> None:
        """`limit` is the size of a block in bytes, encoded or decoded."""
        self._limit = limit
        self._decoder = Decoder(max_header_list_size=limit)
        self._block: tuple[int, bool, bytearray] | None = None  # stream, whether it ends, what has come
        self.begun_at: float | None = None
        """When a block began that is not whole yet, by the event loop's clock."""

    def is_cut_by(self, frame: Frame) -> bool:
        """True if a block is not whole and this frame does not continue it."""
        return self._block is not None and (frame.kind != frames.CONTINUATION or frame.stream != self._block[0])

    def begin(self, frame: Frame, now: float) -> HeaderBlock | None:
        """Take a HEADERS frame; returns the block if it is whole.

        Raises:
            ConnectionFailed: it cannot be decoded.
        """
        block = bytearray(frames.without_padding(frame))
        self._block = frame.stream, bool(frame.flags & frames.END_STREAM), block
        self.begun_at = now
        return self._whole(frame)

    def go_on(self, frame: Frame) -> HeaderBlock | None:
        """Take a CONTINUATION frame; returns the block if it is whole.

        Raises:
            ConnectionFailed: no block is open, it is too large, or it cannot be decoded.
        """
        if self._block is None:
            raise ConnectionFailed(ErrorCode.PROTOCOL_ERROR, "CONTINUATION without HEADERS")
        block = self._block[2]
        block += frame.payload
        if len(block) > self._limit:
            raise ConnectionFailed(ErrorCode.ENHANCE_YOUR_CALM, "a header block that is too large")
        return self._whole(frame)

    def _whole(self, frame: Frame) -> HeaderBlock | None:
        if self._block is None or not frame.flags & frames.END_HEADERS:
            return None
        (stream, ends, block), self._block, self.begun_at = self._block, None, None
        try:
            headers: list[Header] = [(name, value) for name, value in self._decoder.decode(bytes(block), raw=True)]
        except (HPACKError, IndexError, ValueError) as error:
            raise ConnectionFailed(ErrorCode.COMPRESSION_ERROR, "headers that cannot be decoded") from error
        return HeaderBlock(stream, ends, headers)
