"""gRPC calls with threads and blocking waits: what differs between the two clients.

`_async/calls.py` has the same names, for asyncio. This module is written by hand; the rest of `_sync` is generated.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable, Iterator
from time import monotonic, sleep
from typing import Any, TypeVar, cast

import grpc

from tradingsignals.v1.bar_pb2 import Bar
from tradingsignals.v1.market_data_service_pb2 import PublishBarsRequest, PublishBarsResponse

from ..errors import TradingSignalsError, Unavailable, from_rpc_error
from ..keyed import KeyedChannel, KeySource
from ..requests import ChannelOptions, batches
from ..resume import FollowerClosed, NoResponse

Bars = Iterable[Bar]
Channel = grpc.Channel
UnaryMethod = grpc.UnaryUnaryMultiCallable

R = TypeVar("R")


def open_channel(
    address: str, credentials: grpc.ChannelCredentials | None, api_key: KeySource, options: ChannelOptions
) -> Channel:
    """Return a channel to HOST:PORT, encrypted if there are credentials; its calls carry the API key, if any."""
    channel = (
        grpc.insecure_channel(address, options=options)
        if credentials is None
        else grpc.secure_channel(address, credentials, options=options)
    )
    return channel if api_key is None else cast(Channel, KeyedChannel(channel, api_key))


def close_channel(channel: Channel) -> None:
    """End the calls of a channel and its connection."""
    channel.close()


def pause(seconds: float) -> None:
    """Wait so long."""
    sleep(seconds)


def send_bars(method: Any, bars: Bars, batch_size: int, timeout: float | None) -> PublishBarsResponse:
    """Call PublishBars with messages of `batch_size` bars.

    Raises:
        TradingSignalsError: the call failed.
        Exception: iterating over `bars` failed.
    """
    failures: list[Exception] = []

    def requests() -> Iterator[PublishBarsRequest]:
        # gRPC reads this in a thread of its own, where an exception would be logged and lost.
        try:
            yield from batches(bars, batch_size)
        except Exception as failure:
            failures.append(failure)

    try:
        response: PublishBarsResponse = method(requests(), timeout=timeout)
    except grpc.RpcError as error:
        raise (failures[0] if failures else from_rpc_error(error)) from error
    if failures:
        raise failures[0]
    return response


class UnaryCall:
    """A call with one response, which has no deadline and can be cancelled."""

    def __init__(self, method: Any, request: Any) -> None:
        self._call = method.future(request)

    def response(self) -> Any:
        """Wait for the response. Raises TradingSignalsError."""
        try:
            return self._call.result()
        except grpc.RpcError as error:
            raise from_rpc_error(error) from error
        except grpc.FutureCancelledError as error:
            raise Unavailable("the call was cancelled", code=grpc.StatusCode.CANCELLED) from error

    def cancel(self) -> None:
        """End the call."""
        self._call.cancel()

    def on_end(self, callback: Callable[[], None]) -> bool:
        """Have `callback` called when the call ends; False if it has ended already."""
        added: bool = self._call.add_callback(callback)
        return added


class StreamCall:
    """A call with a stream of responses."""

    def __init__(self, call: Any) -> None:
        self._call = call

    def metadata(self) -> Iterable[Any]:
        """Wait until the service has accepted the request; returns initial metadata. Raises TradingSignalsError."""
        metadata: Iterable[Any] = self._call.initial_metadata()
        if not self._call.is_active() and self._call.code() is not grpc.StatusCode.OK:
            raise from_rpc_error(self._call)
        return metadata

    def read(self) -> Any:
        """Wait for the next response; None at the end of the stream. Raises TradingSignalsError."""
        try:
            return next(self._call, None)
        except grpc.RpcError as error:
            raise from_rpc_error(error) from error

    def cancel(self) -> None:
        """End the call."""
        self._call.cancel()

    def on_end(self, callback: Callable[[], None]) -> bool:
        """Have `callback` called when the call ends; False if it has ended already."""
        added: bool = self._call.add_callback(callback)
        return added


class Waits:
    """Bounds the waits of one follower: each has a timeout, and `close` ends the one that is pending."""

    def __init__(self) -> None:
        self.closed = False
        self._closing = threading.Event()
        self._watchdog: _Watchdog | None = None

    def close(self) -> None:
        """End the pending wait, and all later ones, with FollowerClosed. Called from any thread."""
        self.closed = True
        self._closing.set()
        if (watchdog := self._watchdog) is not None:
            watchdog.call.cancel()

    def on(self, call: UnaryCall | StreamCall, wait: Callable[[], R], timeout: float) -> R:
        """Return `wait()`, a method of `call`.

        Raises:
            NoResponse: after `timeout` seconds.
            FollowerClosed: the follower is closed.
            TradingSignalsError: the call failed.
        """
        watchdog = self._watchdog
        if watchdog is None or watchdog.call is not call:
            watchdog = self._watchdog = _Watchdog(call, timeout)
        watchdog.start()
        if self.closed:  # perhaps before there was a call to cancel
            call.cancel()
        try:
            return wait()
        except TradingSignalsError as error:
            if self.closed:
                raise FollowerClosed from None
            if watchdog.expired:
                raise NoResponse from error
            raise
        finally:
            watchdog.stop()

    def pause(self, seconds: float) -> None:
        """Wait so long. Raises FollowerClosed."""
        if self._closing.wait(seconds):
            raise FollowerClosed


class _Watchdog:
    """Cancels a call that is silent while a response is awaited. Its thread ends with the call."""

    def __init__(self, call: UnaryCall | StreamCall, timeout: float) -> None:
        self.call = call
        self.expired = False
        self._timeout = timeout
        self._deadline = math.inf
        self._ended = threading.Event()
        if call.on_end(self._ended.set):
            threading.Thread(target=self._run, name="tradingsignals-watchdog", daemon=True).start()

    def start(self) -> None:
        """A response is awaited from now on."""
        self._deadline = monotonic() + self._timeout

    def stop(self) -> None:
        """No response is awaited any more."""
        self._deadline = math.inf

    def _run(self) -> None:
        while not self._ended.wait(min(max(self._deadline - monotonic(), 0.0), self._timeout)):
            if monotonic() >= self._deadline:
                self.expired = True
                self.call.cancel()
                return
