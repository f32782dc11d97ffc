"""Following without end: streams that are taken up again where they broke off, and items handed out exactly once.

The rules stand in `tradingsignals.resume`; here they are driven, with asyncio and without.
"""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from time import monotonic
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

import grpc

from tradingsignals.v1.system_service_pb2 import GetServiceInfoRequest
from tradingsignals.v1.system_service_pb2_grpc import SystemServiceStub

from .errors import TradingSignalsError, Unavailable, from_rpc_error
from .resume import Following, Resume
from .streams import Sequenced

EPOCH_KEY = "x-epoch"

Method = Callable[[Any], Any]
"""From a channel to the streaming method of the stub on it."""

T = TypeVar("T", bound=Sequenced)


class _Follower(Generic[T]):
    """What both followers have in common.

    `channel` is the client's, `new_channel` makes one with a connection of its own. `request` lacks only where to
    resume. `items_of` tells the items of an answer.
    """

    def __init__(
        self,
        channel: Any,
        new_channel: Callable[[], Any],
        method: Method,
        request: Any,
        items_of: Callable[[Any], Iterable[T]],
        following: Following,
    ) -> None:
        self._resume: Resume[T] = Resume(**following)
        self._channel = channel
        self._own_channel: Any = None
        self._new_channel = new_channel
        self._method = method
        self._request = request
        self._items_of = items_of
        self._call: Any = None
        self._closed = False

    @property
    def sequence(self) -> int | None:
        """Everything up to here was handed out: store it, and pass it as `resume_after`. None: it has not begun yet.

        Heartbeats move it too, so that a quiet or narrowly filtered follower does not fall behind the retention.
        """
        return self._resume.sequence

    @property
    def epoch(self) -> str | None:
        """The log that `sequence` is of: store it with it, and pass it as `epoch`. None: it is not known yet."""
        return self._resume.epoch

    def _next_request(self) -> Any:
        request = type(self._request)()
        request.CopyFrom(self._request)
        request.resume_after = self._resume.resume_after
        request.heartbeat_seconds = self._resume.heartbeat_seconds
        return request

    def _take(self, answer: Any) -> None:
        self._resume.received(self._items_of(answer), answer.through_sequence)

    def _hang_up(self) -> None:
        call, self._call = self._call, None
        if call is not None:
            call.cancel()

    def _end(self) -> Unavailable:
        """Without an error, as no service ends a stream that is followed without end."""
        return Unavailable("the stream ended", code=grpc.StatusCode.OK)

    def _silence(self) -> Unavailable:
        seconds = self._resume.patience_seconds
        return Unavailable(f"nothing was heard for {seconds:g} seconds", code=grpc.StatusCode.UNAVAILABLE)


def _epoch_in(metadata: Iterable[Any] | None) -> str | None:
    return next((str(value) for key, value in metadata or () if key == EPOCH_KEY), None)


class AsyncFollower(_Follower[T]):
    """Items without end, each exactly once and in order, through restarts and lost connections.

        async with client.follow(resume_after=sequence, epoch=epoch) as follower:
            async for event in follower:
                handle(event)
                save(follower.sequence, follower.epoch)

    Entering waits until the service has taken up the subscription, trying again as often as needed. Iterating raises
    what trying again would not mend: EpochChanged, EventsPruned, InvalidRequest, TooLarge, AccessDenied, InternalError;
    it is over then. `close`, from any task of the loop, ends the iteration at once. A wait that is cancelled, as by a
    timeout, loses nothing: the next one goes on.
    """

    _timeout: asyncio.Timeout | None = None

    async def __aenter__(self) -> Self:
        while self._call is None and not self._closed:
            await self._step_or_end()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        while not self._closed:
            if (item := self._resume.hand_out()) is not None:
                return item
            await self._step_or_end()
        raise StopAsyncIteration

    async def close(self) -> None:
        """End the subscription, and the iteration."""
        self._closed = True
        if self._timeout is not None and not self._timeout.expired():
            self._timeout.reschedule(0.0)  # whoever waits need not wait any longer
        self._hang_up()
        await self._use(None)

    async def _step_or_end(self) -> None:
        try:
            await self._step()
        except Exception:
            await self.close()
            raise
        except BaseException:  # cancelled
            self._hang_up()
            raise

    async def _step(self) -> None:
        """Open a stream, or read its next answer; wait after a failure until it is time to try again."""
        pause = 0.0
        if self._closed:
            return
        try:
            async with self._at_most(self._resume.patience_seconds):
                pause = await self._advance()
        except TradingSignalsError as error:
            self._hang_up()
            pause = self._resume.failed(error, monotonic())
        except TimeoutError:
            # The connection may be dead without anybody having been told; a call on it would only wait again.
            self._hang_up()
            await self._use(self._new_channel())
            pause = self._resume.failed(self._silence(), monotonic())
        if pause > 0.0 and not self._closed:
            async with self._at_most(None):
                await asyncio.sleep(pause)

    async def _advance(self) -> float:
        """Open a stream, or read its next answer; returns seconds to wait before the next step."""
        try:
            if self._call is None:
                return await self._open()
            answer = await self._call.read()
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from error
        if answer is grpc.aio.EOF:  # type: ignore[attr-defined] # its types lack it
            raise self._end()
        self._take(answer)
        return 0.0

    async def _open(self) -> float:
        if self._resume.resume_after is None:
            info = await SystemServiceStub(self._channel).GetServiceInfo(GetServiceInfoRequest())
            self._resume.begin(info.through_sequence, info.epoch)
        call = self._method(self._channel)(self._next_request())
        try:
            await call.wait_for_connection()
            pause = self._resume.opened(_epoch_in(await call.initial_metadata()))
        except BaseException:
            call.cancel()
            raise
        if pause is not None:
            call.cancel()
            return pause
        self._call = call
        return 0.0

    @asynccontextmanager
    async def _at_most(self, seconds: float | None) -> AsyncIterator[None]:
        """TimeoutError after `seconds`. If the follower is closed meanwhile, what is done here is broken off."""
        try:
            async with asyncio.timeout(seconds) as self._timeout:
                yield
        except (TimeoutError, asyncio.CancelledError):
            task = asyncio.current_task()
            if not self._closed or (task is not None and task.cancelling()):
                raise
        finally:
            self._timeout = None

    async def _use(self, channel: Any) -> None:
        """Have a channel of one's own, or none any more."""
        old, self._own_channel = self._own_channel, channel
        self._channel = channel or self._channel
        if old is not None:
            await old.close(None)


class Follower(_Follower[T]):
    """Items without end, each exactly once and in order, through restarts and lost connections.

        with client.follow(resume_after=sequence, epoch=epoch) as follower:
            for event in follower:
                handle(event)
                save(follower.sequence, follower.epoch)

    Entering waits until the service has taken up the subscription, trying again as often as needed. Iterating raises
    what trying again would not mend: EpochChanged, EventsPruned, InvalidRequest, TooLarge, AccessDenied, InternalError;
    it is over then. `close`, from any thread, ends the iteration at once.
    """

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._closing = threading.Event()
        self._watchdog: _Watchdog | None = None

    def __enter__(self) -> Self:
        while self._call is None and not self._closed:
            self._step_or_end()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        while not self._closed:
            if (item := self._resume.hand_out()) is not None:
                return item
            self._step_or_end()
        raise StopIteration

    def close(self) -> None:
        """End the subscription, and the iteration."""
        self._closed = True
        self._closing.set()
        if (watchdog := self._watchdog) is not None:
            watchdog.call.cancel()
        self._hang_up()
        self._use(None)

    def _step_or_end(self) -> None:
        try:
            self._step()
        except Exception:
            self.close()
            raise
        except BaseException:  # interrupted
            self._hang_up()
            raise

    def _step(self) -> None:
        """Open a stream, or read its next answer; wait after a failure until it is time to try again."""
        try:
            pause = self._advance()
        except TradingSignalsError as error:
            failure = error
            self._hang_up()
            if self._closed:
                return
            if self._watchdog is not None and self._watchdog.barked:
                # The connection may be dead without anybody having been told; a call on it would only wait again.
                self._use(self._new_channel())
                failure = self._silence()
            pause = self._resume.failed(failure, monotonic())
        if pause > 0.0:
            self._closing.wait(pause)

    def _advance(self) -> float:
        """Open a stream, or read its next answer; returns seconds to wait before the next step."""
        try:
            if self._call is None:
                return self._open()
            with self._watching(self._call):
                answer = next(self._call)
        except StopIteration:
            raise self._end() from None
        except grpc.RpcError as error:
            raise from_rpc_error(error) from error
        except grpc.FutureCancelledError as error:
            raise self._end() from error
        self._take(answer)
        return 0.0

    def _open(self) -> float:
        if self._resume.resume_after is None:
            info = SystemServiceStub(self._channel).GetServiceInfo.future(GetServiceInfoRequest())
            with self._watching(info):
                answer = info.result()
            self._resume.begin(answer.through_sequence, answer.epoch)
        call = self._method(self._channel)(self._next_request())
        try:
            with self._watching(call):
                metadata = call.initial_metadata()
            if not call.is_active() and call.code() is not grpc.StatusCode.OK:
                raise from_rpc_error(call)
            pause = self._resume.opened(_epoch_in(metadata))
        except BaseException:
            call.cancel()
            raise
        if pause is not None:
            call.cancel()
            return pause
        self._call = call
        return 0.0

    @contextmanager
    def _watching(self, call: Any) -> Iterator[None]:
        """Something is expected of `call` before it has been silent for too long."""
        watchdog = self._watchdog
        if watchdog is None or watchdog.call is not call:
            watchdog = self._watchdog = _Watchdog(call, self._resume.patience_seconds)
        watchdog.watch()
        if self._closed:  # perhaps before there was a call to cancel
            watchdog.call.cancel()
        try:
            yield
        finally:
            watchdog.rest()

    def _use(self, channel: Any) -> None:
        """Have a channel of one's own, or none any more."""
        old, self._own_channel = self._own_channel, channel
        self._channel = channel or self._channel
        if old is not None:
            old.close()


class _Watchdog:
    """Cancels a call that is silent while somebody waits for it. Its thread ends with the call."""

    def __init__(self, call: Any, patience_seconds: float) -> None:
        self.call = call
        self.barked = False
        self._patience = patience_seconds
        self._deadline = math.inf
        self._ended = threading.Event()
        if call.add_callback(self._ended.set):
            threading.Thread(target=self._run, name="tradingsignals-watchdog", daemon=True).start()

    def watch(self) -> None:
        """Somebody waits from now on."""
        self._deadline = monotonic() + self._patience

    def rest(self) -> None:
        """Nobody waits any more."""
        self._deadline = math.inf

    def _run(self) -> None:
        while not self._ended.wait(min(max(self._deadline - monotonic(), 0.0), self._patience)):
            if monotonic() >= self._deadline:
                self.barked = True
                self.call.cancel()
                return
