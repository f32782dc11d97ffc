"""Subscribers that use the raw calls and resume after every error."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import httpx
from google.protobuf.json_format import ParseDict

from .followers import WAYS, Query, Responses, Stream
from .publisher import reachable
from .service import RunningService

BROKEN = (grpc.aio.AioRpcError, httpx.HTTPError, StopAsyncIteration, AssertionError)
"""Errors of a stream while a process on its way is down."""

_FRAME = 5
_TRAILERS = 0x80


@asynccontextmanager
async def by_plain_grpc_web(service: RunningService, stream: Stream, query: Query) -> AsyncIterator[Responses]:
    """gRPC-Web as a browser sends it: a POST with one framed message; the response has frames."""
    request = ParseDict(dict(query), stream.request()).SerializeToString()
    body = b"\0" + len(request).to_bytes(4, "big") + request
    headers = {"content-type": "application/grpc-web+proto", "x-grpc-web": "1"}
    path = f"/tradingsignals.v1.{stream.method}"
    async with service.rest() as rest, rest.stream("POST", path, content=body, headers=headers) as response:
        assert response.status_code == 200
        yield _frames(response, stream)


async def _frames(response: httpx.Response, stream: Stream) -> AsyncIterator[Any]:
    waiting = b""
    async for block in response.aiter_bytes():
        waiting += block
        while len(waiting) >= _FRAME and len(waiting) >= (end := _FRAME + int.from_bytes(waiting[1:5], "big")):
            if waiting[0] & _TRAILERS:
                return
            yield stream.response.FromString(waiting[_FRAME:end])
            waiting = waiting[end:]


THROUGH_THE_EDGE = {**WAYS, "grpc-web": by_plain_grpc_web}


@dataclass
class Subscriber:
    """Follows one stream over one protocol, after `resume_after`, and records its items.

    drops_after: responses after which it hangs up, once, to come back where it was.
    stalls_after: responses after which it does not read until `go_on` is set, once.
    last: the sequence up to which it is to have everything, once that is known.
    """

    service: RunningService
    way: str
    stream: Stream
    query: Mapping[str, Any]
    through: int
    drops_after: int | None = None
    stalls_after: int | None = None
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    last: asyncio.Future[int] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    seen: list[Any] = field(default_factory=list)
    responses: int = 0
    connections: int = 0

    async def follow(self) -> None:
        """Follow until complete through `last`, over any number of connections."""
        while not self._has_all():
            try:
                await self._connection()
            except BROKEN:
                await reachable(self.service)

    def _has_all(self) -> bool:
        return self.last.done() and self.through >= self.last.result()

    async def _connection(self) -> None:
        query = {**self.query, "resume_after": self.through, "heartbeat_seconds": 1}
        self.connections += 1
        opened: AbstractAsyncContextManager[Responses] = THROUGH_THE_EDGE[self.way](self.service, self.stream, query)
        async with opened as responses:
            while not self._has_all():
                self._take(await anext(responses))
                if self.responses == self.drops_after:
                    self.drops_after = None
                    return
                if self.responses == self.stalls_after:
                    await self.go_on.wait()

    def _take(self, response: Any) -> None:
        items = list(_items(response))
        if items:
            # The error event of a stream has no item, but its sequence counts.
            self.responses += 1
        self.seen.extend(items)
        self.through = response.through_sequence


def _items(response: Any) -> Sequence[Any]:
    for name in ("signals", "positions"):
        if hasattr(response, name):
            return list(getattr(response, name))
    return [event for event in response.events if event.WhichOneof("payload") not in {"heartbeat", "error"}]
