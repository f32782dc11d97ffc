# Generated from _async/follower.py by `make generate`; do not edit.
"""Followers: streams that are resumed where they broke off, and items handed out exactly once.

The rules stand in `tradingsignals.resume`; here they are applied to calls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from time import monotonic
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

import grpc

from tradingsignals.v1.system_service_pb2 import GetServiceInfoRequest
from tradingsignals.v1.system_service_pb2_grpc import SystemServiceStub

from ..errors import TradingSignalsError, Unavailable
from ..resume import FollowerClosed, Following, NoResponse, Resume, Sequenced
from .calls import Channel, StreamCall, UnaryCall, Waits, close_channel

EPOCH_KEY = "x-epoch"

StreamingMethod = Callable[[Channel], Any]
"""Returns the streaming method of the stub on a channel."""

T = TypeVar("T", bound=Sequenced)


class Follower(Generic[T]):
    """Items without end, each exactly once and in order, through restarts and lost connections.

        with client.follow(resume_after=sequence, epoch=epoch) as follower:
            for event in follower:
                handle(event)
                save(follower.sequence, follower.epoch)

    Entering waits until the service has accepted the subscription, trying again as often as needed. Iterating raises
    permanent errors: EpochChanged, EventsPruned, InvalidRequest, TooLarge, AccessDenied, InternalError;
    the follower is closed then. `close`, from any task of the loop (without asyncio: any thread), ends the iteration at
    once. A wait that is cancelled, as by a timeout, loses nothing: the next one goes on.
    """

    def __init__(
        self,
        channel: Channel,
        new_channel: Callable[[], Channel],
        method: StreamingMethod,
        request: Any,
        items_of: Callable[[Any], Iterable[T]],
        following: Following,
    ) -> None:
        """Prepare a follower; it connects when it is entered or iterated.

        Args:
            channel: the client's.
            new_channel: makes a channel with a connection of its own, for when the client's is silent.
            method: the streaming method on a channel.
            request: complete but for where to resume.
            items_of: returns the items of a response.
            following: where to begin, and what to do when the log changes.
        """
        self._resume: Resume[T] = Resume(**following)
        self._waits = Waits()
        self._channel = channel
        self._own_channel: Channel | None = None
        self._new_channel = new_channel
        self._method = method
        self._request = request
        self._items_of = items_of
        self._call: StreamCall | None = None

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

    def __enter__(self) -> Self:
        while self._call is None and not self._waits.closed:
            self._step_or_close()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        while not self._waits.closed:
            if (item := self._resume.hand_out()) is not None:
                return item
            self._step_or_close()
        raise StopIteration

    def close(self) -> None:
        """End the subscription, and the iteration."""
        self._waits.close()
        self._cancel_call()
        self._replace_own_channel(None)

    def _step_or_close(self) -> None:
        try:
            self._step()
        except FollowerClosed:
            pass
        except Exception:
            self.close()
            raise
        except BaseException:  # cancelled or interrupted
            self._cancel_call()
            raise

    def _step(self) -> None:
        """Open a stream, or read its next response; wait after a failure until it is time to try again."""
        try:
            pause = self._advance()
        except NoResponse:
            # The connection may be dead without an error; a call on it would only wait again.
            self._cancel_call()
            self._replace_own_channel(self._new_channel())
            message = f"no response for {self._resume.patience_seconds:g} seconds"
            pause = self._resume.failed(Unavailable(message, code=grpc.StatusCode.UNAVAILABLE), monotonic())
        except TradingSignalsError as error:
            self._cancel_call()
            pause = self._resume.failed(error, monotonic())
        if pause > 0.0:
            self._waits.pause(pause)

    def _advance(self) -> float:
        """Open a stream, or read its next response; returns seconds to wait before the next step."""
        call = self._call
        if call is None:
            return self._open()
        response = self._waits.on(call, call.read, self._resume.patience_seconds)
        if response is None:  # no service ends a stream without an error unless an end was requested
            raise Unavailable("the stream ended", code=grpc.StatusCode.OK)
        self._resume.received(self._items_of(response), response.through_sequence)
        return 0.0

    def _open(self) -> float:
        """Open a stream; returns seconds to wait before the next step."""
        if self._resume.resume_after is None:
            info = UnaryCall(SystemServiceStub(self._channel).GetServiceInfo, GetServiceInfoRequest())
            response = self._waits.on(info, info.response, self._resume.patience_seconds)
            self._resume.begin(response.through_sequence, response.epoch)
        call = StreamCall(self._method(self._channel)(self._next_request()))
        try:
            metadata = self._waits.on(call, call.metadata, self._resume.patience_seconds)
            pause = self._resume.opened(_epoch_in(metadata))
        except BaseException:
            call.cancel()
            raise
        if pause is not None:
            call.cancel()
            return pause
        self._call = call
        return 0.0

    def _next_request(self) -> Any:
        request = type(self._request)()
        request.CopyFrom(self._request)
        request.resume_after = self._resume.resume_after
        request.heartbeat_seconds = self._resume.heartbeat_seconds
        return request

    def _cancel_call(self) -> None:
        call, self._call = self._call, None
        if call is not None:
            call.cancel()

    def _replace_own_channel(self, channel: Channel | None) -> None:
        old, self._own_channel = self._own_channel, channel
        self._channel = channel or self._channel
        if old is not None:
            close_channel(old)


def _epoch_in(metadata: Iterable[Any] | None) -> str | None:
    return next((str(value) for key, value in metadata or () if key == EPOCH_KEY), None)
