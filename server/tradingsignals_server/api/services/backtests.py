"""tradingsignals.v1.BacktestService: responses that are computed for one caller, in a process of their own."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Literal

from google.protobuf.message_factory import GetMessageClass

from tradingsignals.v1 import backtest_service_pb2 as pb

from ...application.ports.backtests import RunningBacktest, StartBacktest
from ...domain.errors import FollowerStalled, ServiceError
from ...domain.intervals import IntervalOf
from ...transport.methods import Budget, ServerStreaming
from ..contract import NEWLINE_DELIMITED_SERVICE, SERVER_SENT_EVENTS_SERVICE, SERVICES, path_of
from ..encoding.json_text import json_text
from ..encoding.stream_messages import stream_error
from ..encoding.stream_text import ndjson_line, server_sent_event
from ..mapping.backtests import order_of
from ..mapping.validation import message_of
from .json_bodies import read_request

STALL_SECONDS: Final = 60.0
"""Time after which a caller that takes nothing is ended, with its process."""

METHOD: Final = SERVICES["BacktestService"].methods_by_name["RunBacktest"]

Encode = Callable[[pb.RunBacktestResponse], bytes]


@dataclass(frozen=True, slots=True)
class BacktestEnd:
    """How a backtest ended: see transport.methods.StreamEnd."""

    error: Exception | None = None
    response: bytes | None = None


class BacktestResponses:
    """Implements transport.methods.ResponseSource: the responses of a running backtest, one after the other."""

    def __init__(self, running: RunningBacktest, encode: Encode | None) -> None:
        """`encode` makes a response of each message; None sends the messages as they are."""
        self._running = running
        self._encode = encode
        self._pending: bytes | None = None
        self.due_at = math.inf
        self.end: BacktestEnd | None = None

    @property
    def awaits(self) -> Literal["entries", "page", "turn", "end"]:
        """See ResponseSource."""
        if self.end is not None:
            return "end"
        return "page" if self._pending is None else "turn"

    def next(self, now: float, _: Budget) -> bytes | None:
        """See ResponseSource."""
        if self.due_at <= now:
            self._finish(FollowerStalled(0, STALL_SECONDS))
            return None
        response, self._pending = self._pending, None
        return response

    def last_response(self, error: Exception) -> bytes | None:
        """See ResponseSource."""
        is_blocked = self.due_at < math.inf
        return None if is_blocked or not isinstance(error, ServiceError) else self._error(error)

    async def read(self) -> None:
        """Wait for the next response of the process."""
        try:
            sent = await self._running.next()
        except ServiceError as error:
            self._finish(error)
            return
        except asyncio.CancelledError:
            self._running.end()
            raise
        if sent is None:
            self._finish(None)
        else:
            self._pending = self._encoded(sent)

    def blocked(self, now: float, *, sent: bool = False) -> None:  # noqa: ARG002 - it makes no difference
        """See ResponseSource."""
        self.due_at = min(self.due_at, now + STALL_SECONDS)

    def unblocked(self, _: float) -> None:
        """See ResponseSource."""
        self.due_at = math.inf

    def _encoded(self, sent: bytes) -> bytes:
        return sent if self._encode is None else self._encode(pb.RunBacktestResponse.FromString(sent))

    def _finish(self, error: ServiceError | None) -> None:
        self._running.end()
        self._pending = None
        self.end = BacktestEnd() if error is None else BacktestEnd(error, self._error(error))

    def _error(self, error: ServiceError) -> bytes:
        return self._encoded(pb.RunBacktestResponse(error=stream_error(error)).SerializeToString())


class BacktestServicer:
    """Runs backtests. Its one method streams, so it is served by `methods`."""

    def __init__(self, start: StartBacktest, interval_of: IntervalOf) -> None:
        self._start = start
        self._interval_of = interval_of

    def methods(self) -> dict[str, ServerStreaming]:
        """Return the method by its paths: that of the public service, and those of the edge, as text."""
        name = METHOD.name
        sse, ndjson = (s.methods_by_name[name] for s in (SERVER_SENT_EVENTS_SERVICE, NEWLINE_DELIMITED_SERVICE))
        return {
            path_of(METHOD): ServerStreaming(partial(self._open, None)),
            path_of(sse): ServerStreaming(partial(self._open_text, sse.input_type, server_sent_event)),
            path_of(ndjson): ServerStreaming(partial(self._open_text, ndjson.input_type, ndjson_line)),
        }

    async def _open(self, encode: Encode | None, sent: bytes) -> BacktestResponses:
        return await self._run(message_of(pb.RunBacktestRequest.FromString, sent), encode)

    async def _open_text(
        self, input_type: Any, framing: Callable[[bytes, int], bytes], sent: bytes
    ) -> BacktestResponses:
        body: Any = message_of(GetMessageClass(input_type).FromString, sent)
        request = read_request(body, pb.RunBacktestRequest)
        return await self._run(request, lambda response: framing(json_text(response).encode(), 0))

    async def _run(self, request: pb.RunBacktestRequest, encode: Encode | None) -> BacktestResponses:
        return BacktestResponses(await self._start(order_of(request, self._interval_of)), encode)
