"""Texts that are statements, lines of the log or formats elsewhere: here they are data, and one line of the log."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from tests.support.bars import messages
from tests.support.deadlines import DEADLINE, poll, within
from tests.support.folders import scratch_folder
from tests.support.service import RunningService, running_service
from tests.support.unharmed import unharmed
from tests.support.wire import INJECTIONS

from tradingsignals_server.api.contract import SERVICES, path_of
from tradingsignals_server.domain.bars import Bar

pytestmark = pytest.mark.slow

TEXTS = (*INJECTIONS[:3], " ".join(INJECTIONS))
HEADERS = (
    *("x-request-id", "traceparent", "tracestate", "last-event-id", "user-agent", "x-api-key", "x-forwarded-for"),
    "idempotency-key",
)
TABLES = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1"

Field = tuple[FieldDescriptor, ...]


@pytest.fixture(scope="module")
async def logging_service(known_bars: list[Bar]) -> AsyncIterator[RunningService]:
    """A service that logs every call."""
    with scratch_folder() as folder:
        async with running_service(folder, LOG_LEVEL="DEBUG") as service, service.client() as client:
            await client.publish_bars(messages(known_bars))
            yield service


def text_fields(descriptor: Descriptor, parents: Field = ()) -> Iterator[Field]:
    for field in descriptor.fields:
        if field.type == FieldDescriptor.TYPE_STRING:
            yield (*parents, field)
        elif field.message_type is not None and len(parents) < 3:
            yield from text_fields(field.message_type, (*parents, field))


def request_with(descriptor: Descriptor, path: Field, text: str) -> Message:
    """Return a request with a text in one field."""
    request: Any = GetMessageClass(descriptor)()
    part = request
    for parent in path[:-1]:
        part = getattr(part, parent.name)
        part = part.add() if parent.is_repeated else part
    if path[-1].is_repeated:
        getattr(part, path[-1].name).append(text)
    else:
        setattr(part, path[-1].name, text)
    return request  # type: ignore[no-any-return]


def injected() -> Iterator[tuple[MethodDescriptor, Message]]:
    for service in SERVICES.values():
        for method in service.methods:
            for path in text_fields(method.input_type):
                for text in TEXTS:
                    yield method, request_with(method.input_type, path, text)


async def status_of(channel: grpc.aio.Channel, path: str, sent: bytes, request_id: str) -> grpc.StatusCode:
    """Return the status of a call; OK once it has begun to stream."""
    call: Any = channel.stream_stream(path, None, None)(iter([sent]), metadata=(("x-request-id", request_id),))
    try:
        headers = dict(await call.initial_metadata())
        if "x-epoch" in headers:
            return grpc.StatusCode.OK
        await call.read()
    except grpc.aio.AioRpcError as error:
        return error.code()
    finally:
        call.cancel()
    return grpc.StatusCode.OK


async def calls_in(log: RunningService, ids: set[str]) -> Counter[str]:
    """Return how often each call is in the log, once all are; each line has to be one JSON object."""
    async with asyncio.timeout(DEADLINE):
        while True:
            lines = [json.loads(line) for line in log.log.splitlines() if '"tradingsignals.call"' in line]
            found = Counter(line["request_id"] for line in lines if line.get("request_id") in ids)
            if found.keys() == ids:
                return found
            await poll()


async def test_texts_are_data_and_one_line_of_the_log_each(logging_service: RunningService) -> None:
    service, ids, statuses = logging_service, set(), Counter[grpc.StatusCode]()
    async with (
        unharmed(service),
        service.database() as database,
        grpc.aio.insecure_channel(service.address) as channel,
    ):
        tables = await database.fetch(TABLES)
        for number, (method, request) in enumerate(injected()):
            ids.add(f"injected-{number}")
            sent = request.SerializeToString()
            status = await within(status_of(channel, path_of(method), sent, f"injected-{number}"))
            # The process of statistics, which has a low priority, may get no processor in time.
            is_late = (method.name, status) == ("GetPerformance", grpc.StatusCode.RESOURCE_EXHAUSTED)
            statuses[grpc.StatusCode.OK if is_late else status] += 1
        assert await database.fetch(TABLES) == tables
        assert statuses[grpc.StatusCode.OK] > 0
        assert statuses.keys() <= {grpc.StatusCode.OK, grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND}
        assert set((await calls_in(service, ids)).values()) == {1}
    assert all(
        json.loads(line)["level"] in {"DEBUG", "INFO", "WARNING"}
        for line in service.log.splitlines()
        if line.startswith("{")
    )


@pytest.mark.parametrize("name", HEADERS)
async def test_headers_are_data_and_one_line_of_the_log_each(logging_service: RunningService, name: str) -> None:
    sent = [text for text in INJECTIONS if text.isascii() and text.isprintable()]
    assert len(sent) > 2
    before = len(logging_service.log.splitlines())
    async with unharmed(logging_service), logging_service.rest() as rest:
        for text in sent:
            response = await rest.get("/api/signals/history?limit=1", headers={name: text})
            assert response.status_code in {200, 400}, (name, text)
            ids = {response.headers["x-request-id"]}
            assert set((await calls_in(logging_service, ids)).values()) == {1}
    after = logging_service.log.splitlines()[before:]
    assert all(json.loads(line)["level"] != "ERROR" for line in after)
