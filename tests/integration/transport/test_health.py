"""Health checks on grpc.aio; those of the HTTP/2 server are in test_protocol."""

from __future__ import annotations

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tests.support.deadlines import within
from tests.support.logs import Log

from tradingsignals_server.api.contract import SERVICES

from .conftest import aio_server

SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


async def test_every_service_is_listed_with_its_status() -> None:
    async with (
        aio_server(await Log.with_entries(1)) as server,
        grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel,
    ):
        names = {"", *(service.full_name for service in SERVICES.values())}
        for status in (SERVING, NOT_SERVING):
            listed = await within(health_pb2_grpc.HealthStub(channel).List(health_pb2.HealthListRequest()))
            assert {name: check.status for name, check in listed.statuses.items()} == dict.fromkeys(names, status)
            await server.not_serving()
