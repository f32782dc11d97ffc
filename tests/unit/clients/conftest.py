"""A real gRPC server with scripted responses, and drivers of both clients."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.message import Message
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status
from tests.support.deadlines import DEADLINE

import tradingsignals


@dataclass
class Script:
    """The responses of a server, by method, and the requests that it received."""

    port: int = 0
    responses: dict[str, Callable[[Any], Message] | Sequence[Message]] = field(default_factory=dict)
    """By method name: for a call with one response a function of the request, for a stream its messages."""
    failure: Status | None = None
    """Ends every call, a stream after its messages."""
    failure_code: grpc.StatusCode | None = None
    """Ends every call without any details, as a proxy would."""
    silent: bool = False
    """It sends no response."""
    requests: list[Any] = field(default_factory=list)
    failures: deque[grpc.StatusCode] = field(default_factory=deque)
    """Each ends one call with one response, in their order."""
    keys: list[str | None] = field(default_factory=list)
    """The idempotency keys of the calls with one response."""

    async def fail(self, context: Any) -> None:
        """End the call with the error of the script, if it has one."""
        if self.silent:
            await asyncio.Event().wait()
        if self.failure is not None:
            await context.abort_with_status(rpc_status.to_status(self.failure))
        if self.failure_code is not None:
            await context.abort(self.failure_code, "something on the way broke")


class ScriptedHandler(grpc.GenericRpcHandler):  # type: ignore[type-arg] # generic in its types only
    """Serves each method of the contract by the script."""

    def __init__(self, script: Script) -> None:
        self._script = script

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        script = self._script
        service, name = details.method.removeprefix("/").split("/")
        method = descriptor_pool.Default().FindServiceByName(service).methods_by_name[name]
        coding = {
            "request_deserializer": message_factory.GetMessageClass(method.input_type).FromString,
            "response_serializer": lambda message: message.SerializeToString(),
        }

        async def unary(request: Any, context: Any) -> Any:
            script.requests.append(request)
            script.keys.append(dict(context.invocation_metadata()).get("idempotency-key"))
            if script.failures:
                await context.abort(script.failures.popleft(), "something on the way broke")
            await script.fail(context)
            respond: Any = script.responses[name]
            return respond(request)

        async def client_stream(requests: Any, context: Any) -> Any:
            received = [request async for request in requests]
            script.requests.extend(received)
            await script.fail(context)
            respond: Any = script.responses[name]
            return respond(received)

        async def server_stream(request: Any, context: Any) -> AsyncIterator[Message]:
            script.requests.append(request)
            await context.send_initial_metadata(())
            messages: Any = script.responses[name]
            for message in messages:
                yield message
            await script.fail(context)
            await asyncio.Event().wait()

        if method.server_streaming:
            return grpc.unary_stream_rpc_method_handler(server_stream, **coding)
        if method.client_streaming:
            return grpc.stream_unary_rpc_method_handler(client_stream, **coding)
        return grpc.unary_unary_rpc_method_handler(unary, **coding)


@pytest.fixture
async def script() -> AsyncIterator[Script]:
    script = Script()
    server = grpc.aio.server(handlers=[ScriptedHandler(script)], options=[("grpc.so_reuseport", 0)])
    script.port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield script
    await server.stop(None)


class Driver:
    """Calls a client, with a deadline. What it calls is named as both clients name it."""

    async def call(self, method: str, *arguments: Any, **options: Any) -> Any:
        """Return the response of a call that has one."""
        async with asyncio.timeout(DEADLINE):
            return await self._call(method, *arguments, **options)

    async def listed(self, method: str, **options: Any) -> tuple[list[Any], int | None]:
        """Return all items of a list, and the sequence to follow from."""
        async with asyncio.timeout(DEADLINE):
            return await self._listed(method, **options)

    async def followed(self, method: str, count: int, **options: Any) -> list[tuple[Any, int | None]]:
        """Return the first items of a stream, each with the sequence to resume after."""
        async with asyncio.timeout(DEADLINE):
            return await self._followed(method, count, **options)

    _call: Callable[..., Awaitable[Any]]
    _listed: Callable[..., Awaitable[tuple[list[Any], int | None]]]
    _followed: Callable[..., Awaitable[list[tuple[Any, int | None]]]]


class AsyncDriver(Driver):
    """Calls the async client."""

    def __init__(self, client: tradingsignals.AsyncClient) -> None:
        self._client = client

    async def _call(self, method: str, *arguments: Any, **options: Any) -> Any:
        return await getattr(self._client, method)(*arguments, **options)

    async def _listed(self, method: str, **options: Any) -> Any:
        pages = getattr(self._client, method)(**options)
        return [item async for item in pages], pages.through_sequence

    async def _followed(self, method: str, count: int, **options: Any) -> Any:
        async with getattr(self._client, method)(**options) as stream:
            return [(await anext(stream), stream.through_sequence) for _ in range(count)]


class SyncDriver(Driver):
    """Calls the sync client, in a thread so that the server in this process can run."""

    def __init__(self, client: tradingsignals.Client) -> None:
        self._client = client

    async def _call(self, method: str, *arguments: Any, **options: Any) -> Any:
        return await asyncio.to_thread(getattr(self._client, method), *arguments, **options)

    async def _listed(self, method: str, **options: Any) -> Any:
        pages = getattr(self._client, method)(**options)
        return await asyncio.to_thread(list, pages), pages.through_sequence

    async def _followed(self, method: str, count: int, **options: Any) -> Any:
        def follow() -> list[tuple[Any, int | None]]:
            with getattr(self._client, method)(**options) as stream:
                return [(item, stream.through_sequence) for item in islice(stream, count)]

        return await asyncio.to_thread(follow)


@pytest.fixture(params=["async", "sync"])
async def client(request: pytest.FixtureRequest, script: Script) -> AsyncIterator[Driver]:
    """Both clients in turn."""
    address = f"127.0.0.1:{script.port}"
    if request.param == "async":
        async with tradingsignals.connect(address, timeout=DEADLINE) as async_client:
            yield AsyncDriver(async_client)
    else:
        with tradingsignals.connect_sync(address, timeout=DEADLINE) as sync_client:
            yield SyncDriver(sync_client)
