"""The body of a request: one message of gRPC, put together from what comes in, and inflated if it is compressed."""

from __future__ import annotations

import zlib
from typing import Final

import grpc

from .headers import ACCEPTED_ENCODINGS
from .status import NotOneMessage

REQUEST_BYTES: Final = 48 * 1024
"""The largest request that is taken, as it is sent and inflated; it fits into the window that a stream begins with."""

_PREFIX_BYTES: Final = 5
_WINDOW_BITS: Final = {b"gzip": 31, b"deflate": 15}
"""How zlib names the containers."""


class BadMessage(Exception):
    """What was sent is not taken. It ends the call with a status of its own."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Body:
    """What has come of a request, whose `grpc-encoding` is `encoding`."""

    __slots__ = ("_encoding", "_received")

    def __init__(self, encoding: bytes) -> None:
        self._encoding = encoding
        self._received = bytearray()

    def receive(self, part: bytes) -> None:
        """Take a part.

        Raises:
            BadMessage: it is longer than is taken, or its encoding is not known.
            NotOneMessage: it is longer than one message.
        """
        self._received += part
        received = self._received
        if len(received) < _PREFIX_BYTES:
            return
        if received[0]:
            self._require_known(received[0])
        length = int.from_bytes(received[1:_PREFIX_BYTES], "big")
        if length > REQUEST_BYTES:
            raise _too_large(f"has {length} bytes")
        if len(received) > _PREFIX_BYTES + length:
            raise NotOneMessage("there is more than one message")

    def message(self) -> bytes:
        """The message, once the request has come to its end.

        Raises:
            BadMessage: it is too large when it is inflated.
            NotOneMessage: there is none, it is not whole, or it cannot be inflated.
        """
        body = self._received
        if len(body) < _PREFIX_BYTES or len(body) != _PREFIX_BYTES + int.from_bytes(body[1:_PREFIX_BYTES], "big"):
            raise NotOneMessage("there is no whole message")
        message = bytes(body[_PREFIX_BYTES:])
        return inflated(message, self._encoding) if body[0] else message

    def _require_known(self, flag: int) -> None:
        if flag != 1 or self._encoding == b"identity":
            raise BadMessage(grpc.StatusCode.INTERNAL, "the message is marked as compressed, and grpc-encoding is not")
        if self._encoding not in _WINDOW_BITS:
            raise BadMessage(grpc.StatusCode.UNIMPLEMENTED, f"grpc-encoding may be {ACCEPTED_ENCODINGS.decode()}")


def inflated(message: bytes, encoding: bytes) -> bytes:
    """The message that was compressed. No more than what is taken is ever inflated.

    Raises:
        BadMessage: it is larger than REQUEST_BYTES then.
        NotOneMessage: it cannot be inflated.
    """
    inflater = zlib.decompressobj(_WINDOW_BITS[encoding])
    try:
        found = inflater.decompress(message, REQUEST_BYTES + 1)
    except zlib.error:
        raise NotOneMessage("the message cannot be inflated") from None
    if len(found) > REQUEST_BYTES:
        raise _too_large("inflates to more")
    if not inflater.eof or inflater.unused_data:
        raise NotOneMessage("the message cannot be inflated")
    return found


def _too_large(why: str) -> BadMessage:
    message = f"the message {why}, at most {REQUEST_BYTES} bytes are taken"
    return BadMessage(grpc.StatusCode.RESOURCE_EXHAUSTED, message)
