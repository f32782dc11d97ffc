"""Binds the table of methods to a server of grpc.aio, and sends the responses of streams on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Any, Final, TypeAlias

import grpc

from ..methods import Budget, ClientStreaming, Method, Methods, ResponseSource, ServerStreaming, Subscribe, Unary
from .interceptors import StreamBlocked, withdrawal
from .metadata import response_metadata

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Metadata = Sequence[tuple[str, str]]

LAST_RESPONSE_SECONDS: Final = 10.0
"""How long a caller may take to read the last response before its status is sent."""


class MethodHandlers(grpc.GenericRpcHandler):  # type: ignore[type-arg]  # generic for the checker only
    """Serves a table of methods. Every stream begins with `stream_metadata`."""

    def __init__(self, methods: Methods, subscribe: Subscribe, stream_metadata: Metadata = ()) -> None:
        sender = StreamSender(subscribe)
        self._handlers = {path: _handler(method, sender, stream_metadata) for path, method in methods.items()}

    def service(self, details: grpc.HandlerCallDetails) -> Handler | None:
        """See grpc.GenericRpcHandler."""
        return self._handlers.get(details.method)


def _handler(method: Method, sender: StreamSender, stream_metadata: Metadata) -> Handler:
    if isinstance(method, Unary):
        return grpc.unary_unary_rpc_method_handler(partial(_call, method))
    if isinstance(method, ClientStreaming):
        return grpc.stream_unary_rpc_method_handler(partial(_upload, method))
    return grpc.unary_stream_rpc_method_handler(partial(_stream, method, sender, stream_metadata))


async def _call(method: Unary, request: bytes, context: Context) -> bytes:
    response = await method.call(request)
    if metadata := response_metadata.get():
        await _begin(context, metadata)
    return response


async def _upload(method: ClientStreaming, requests: AsyncIterator[bytes], context: Context) -> bytes:
    # The edge waits only so long for a request to end, unless its response has begun.
    await _begin(context, ())
    return await method.call(requests)


async def _stream(
    method: ServerStreaming, sender: StreamSender, metadata: Metadata, request: bytes, context: Context
) -> None:
    source = await method.open(request)
    # The caller is sent these at once, so that it knows that it follows; an error before has a status of its own.
    await _begin(context, metadata)
    error = await sender.send(source, context)
    del source  # the traceback of the error would keep it in memory
    if error is not None:
        raise error


async def _begin(context: Context, metadata: Metadata) -> None:
    """Send initial metadata, to the end even if the call is cancelled: gRPC could not send its status otherwise."""
    sending = asyncio.ensure_future(context.send_initial_metadata(metadata))
    try:
        await asyncio.shield(sending)
    except asyncio.CancelledError:
        await asyncio.wait([sending])
        raise


class _Caller:
    """Writes to one caller. `is_blocked`: it has not read what was written last."""

    def __init__(self, context: Context) -> None:
        self.is_blocked = False
        self._context = context

    async def write(self, response: bytes, until: float) -> bool:
        """Write a response; return False if the caller has not taken it by a time of the loop."""
        self.is_blocked = True
        try:
            async with asyncio.timeout_at(until):
                await self._context.write(response)
        except TimeoutError:
            return False
        self.is_blocked = False
        return True

    async def write_last(self, response: bytes | None) -> None:
        """Write the last response, if there is one and the caller reads."""
        if response is not None and not self.is_blocked:
            await self.write(response, asyncio.get_running_loop().time() + LAST_RESPONSE_SECONDS)


class StreamSender:
    """Sends the responses of sources, each at the pace of its caller."""

    def __init__(self, subscribe: Subscribe) -> None:
        self._waiting: set[asyncio.Future[None]] = set()
        subscribe(self._notify)

    async def send(self, source: ResponseSource, context: Context) -> Exception | None:
        """Send all responses of a source; return the error that it has ended with, if there is one.

        It is StreamBlocked if the caller does not read.
        """
        caller = _Caller(context)
        try:
            await self._send(source, caller)
        except asyncio.CancelledError:
            if errors := withdrawal.get([]):
                await caller.write_last(source.last_response(errors[0]))
            raise
        if source.end is None or source.end.error is None:
            return None
        await caller.write_last(source.end.response)
        return StreamBlocked(source.end.error) if caller.is_blocked else source.end.error

    async def _send(self, source: ResponseSource, caller: _Caller) -> None:
        loop = asyncio.get_running_loop()
        while source.awaits != "end":
            response = source.next(loop.time(), Budget())
            if response is not None:
                # gRPC keeps a response that it was given, and sends it if the caller reads on, even after the end.
                source.blocked(loop.time(), sent=True)
                if await caller.write(response, source.due_at):
                    source.unblocked(loop.time())
            elif source.awaits == "page":
                await source.read()
            elif source.awaits == "turn":
                await asyncio.sleep(0)
            elif source.awaits == "entries":
                await self._wait_until(source.due_at)

    async def _wait_until(self, time: float) -> None:
        """Wait for a notification, at most until `time`."""
        notified = asyncio.get_running_loop().create_future()
        self._waiting.add(notified)
        try:
            async with asyncio.timeout_at(time):
                await notified
        except TimeoutError:
            pass
        finally:
            self._waiting.discard(notified)

    def _notify(self) -> None:
        waiting, self._waiting = self._waiting, set()
        for notified in waiting:
            if not notified.done():
                notified.set_result(None)
