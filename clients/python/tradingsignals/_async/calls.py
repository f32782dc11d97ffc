"""gRPC calls with asyncio: what differs between the two clients.

`_sync/calls.py` has the same names, with threads and blocking waits. The rest of `_sync` is generated from `_async`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from typing import Any, TypeVar, cast

import grpc

from tradingsignals.v1.bar_pb2 import Bar
from tradingsignals.v1.market_data_service_pb2 import PublishBarsRequest, PublishBarsResponse

from ..errors import from_rpc_error
from ..keyed import KeyedChannel, KeySource
from ..requests import ChannelOptions, batches
from ..resume import FollowerClosed, NoResponse

Bars = Iterable[Bar] | AsyncIterable[Bar]
Channel = grpc.aio.Channel
UnaryMethod = grpc.aio.UnaryUnaryMultiCallable

R = TypeVar("R")


def open_channel(
    address: str, credentials: grpc.ChannelCredentials | None, api_key: KeySource, options: ChannelOptions
) -> Channel:
    """Return a channel to HOST:PORT, encrypted if there are credentials; its calls carry the API key, if any."""
    channel = (
        grpc.aio.insecure_channel(address, options=options)
        if credentials is None
        else grpc.aio.secure_channel(address, credentials, options=options)
    )
    return channel if api_key is None else cast(Channel, KeyedChannel(channel, api_key))


async def close_channel(channel: Channel) -> None:
    """End the calls of a channel and its connection."""
    await channel.close(None)


async def pause(seconds: float) -> None:
    """Wait so long."""
    await asyncio.sleep(seconds)


async def send_bars(
    method: Any,
    bars: Bars,
    batch_size: int,
    timeout: float | None,  # noqa: ASYNC109 (the deadline travels to the service)
) -> PublishBarsResponse:
    """Call PublishBars with messages of `batch_size` bars.

    Raises:
        TradingSignalsError: the call failed.
        Exception: iterating over `bars` failed.
    """
    call = method(timeout=timeout)
    try:
        async for request in _batches(bars, batch_size):
            await call.write(request)
        await call.done_writing()
    except (asyncio.InvalidStateError, grpc.aio.AioRpcError):
        pass  # the service has ended the call already; awaiting it raises the cause
    except BaseException:
        call.cancel()
        raise
    try:
        response: PublishBarsResponse = await call
    except grpc.aio.AioRpcError as error:
        raise from_rpc_error(error) from error
    return response


async def _batches(bars: Bars, size: int) -> AsyncIterator[PublishBarsRequest]:
    if isinstance(bars, Iterable):
        for request in batches(bars, size):
            yield request
        return
    batch: list[Bar] = []
    async for bar in bars:
        batch.append(bar)
        if len(batch) == size:
            yield PublishBarsRequest(bars=batch)
            batch = []
    if batch:
        yield PublishBarsRequest(bars=batch)


class UnaryCall:
    """A call with one response, which has no deadline and can be cancelled."""

    def __init__(self, method: Any, request: Any) -> None:
        self._call = method(request)

    async def response(self) -> Any:
        """Wait for the response. Raises TradingSignalsError."""
        try:
            return await self._call
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from error

    def cancel(self) -> None:
        """End the call."""
        self._call.cancel()


class StreamCall:
    """A call with a stream of responses."""

    def __init__(self, call: Any) -> None:
        self._call = call

    async def metadata(self) -> Iterable[Any]:
        """Wait until the service has accepted the request; returns initial metadata. Raises TradingSignalsError."""
        try:
            await self._call.wait_for_connection()
            metadata: Iterable[Any] = await self._call.initial_metadata()
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from error
        return metadata

    async def read(self) -> Any:
        """Wait for the next response; None at the end of the stream. Raises TradingSignalsError."""
        try:
            response = await self._call.read()
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from error
        return None if response is grpc.aio.EOF else response  # type: ignore[attr-defined] # its types lack it

    def cancel(self) -> None:
        """End the call."""
        self._call.cancel()


class Waits:
    """Bounds the waits of one follower: each has a timeout, and `close` ends the one that is pending."""

    def __init__(self) -> None:
        self.closed = False
        self._timeout: asyncio.Timeout | None = None

    def close(self) -> None:
        """End the pending wait, and all later ones, with FollowerClosed. Called from any task of the loop."""
        self.closed = True
        if self._timeout is not None and not self._timeout.expired():
            self._timeout.reschedule(0.0)

    async def on(
        self,
        call: UnaryCall | StreamCall,  # noqa: ARG002 (without asyncio it must be cancelled to end the wait)
        wait: Callable[[], Awaitable[R]],
        timeout: float,  # noqa: ASYNC109 (it is the timeout of whatever `wait` awaits)
    ) -> R:
        """Await `wait()`, a method of `call`.

        Raises:
            NoResponse: after `timeout` seconds.
            FollowerClosed: the follower is closed.
            TradingSignalsError: the call failed.
        """
        try:
            return await self._bounded(wait, timeout)
        except TimeoutError as error:
            raise NoResponse from error

    async def pause(self, seconds: float) -> None:
        """Wait so long. Raises FollowerClosed."""
        await self._bounded(lambda: asyncio.sleep(seconds), None)

    async def _bounded(self, wait: Callable[[], Awaitable[R]], seconds: float | None) -> R:
        if self.closed:
            raise FollowerClosed
        try:
            async with asyncio.timeout(seconds) as self._timeout:
                return await wait()
        except (TimeoutError, asyncio.CancelledError):
            task = asyncio.current_task()
            if self.closed and (task is None or not task.cancelling()):
                raise FollowerClosed from None
            raise
        finally:
            self._timeout = None
