"""Raw TCP connections, for requests that no regular client sends."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from .deadlines import within


@asynccontextmanager
async def connected(
    port: int, *, receive_buffer: int | None = None, tls: ssl.SSLContext | None = None, name: str | None = None
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Open a local TCP connection, reset at the end.

    `receive_buffer` is that of the kernel, in bytes. With `tls` the server has to be the one of a `name`.
    """
    plain = socket.socket()
    plain.setblocking(False)
    if receive_buffer is not None:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    try:
        await within(asyncio.get_running_loop().sock_connect(plain, ("127.0.0.1", port)))
        reader, writer = await within(asyncio.open_connection(sock=plain, ssl=tls, server_hostname=name))
    except BaseException:
        plain.close()
        raise
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        with suppress(OSError):
            await writer.wait_closed()
