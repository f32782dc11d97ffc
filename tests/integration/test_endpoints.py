"""Endpoints of notifications in PostgreSQL."""

from __future__ import annotations

import asyncio

import pytest
from tests.support.deadlines import within
from tests.support.memory_endpoints import endpoint
from tests.support.store_contract.endpoints import EndpointsContract

from tradingsignals_server.adapters.postgres.connection import Connections
from tradingsignals_server.adapters.postgres.endpoints import PostgresEndpoints
from tradingsignals_server.application.ports.notifications import EndpointChanges
from tradingsignals_server.domain.notifications import DeliveryProgress


@pytest.fixture
def endpoints(pool: Connections, dsn: str) -> PostgresEndpoints:
    return PostgresEndpoints(pool, dsn)


class TestEndpoints(EndpointsContract): ...


async def test_changes_by_callers_are_notified_and_progress_is_not(endpoints: PostgresEndpoints) -> None:
    one, changed = endpoint(), asyncio.Event()
    count = 0

    def note() -> None:
        nonlocal count
        count += 1
        changed.set()

    listening = asyncio.create_task(endpoints.listen(note))
    try:
        for step in (
            lambda: endpoints.add_endpoint(one),
            lambda: endpoints.change_endpoint(one.id, EndpointChanges(cursor=1)),
            lambda: endpoints.delete_endpoint(one.id),
        ):
            await within(changed.wait())
            changed.clear()
            await step()
            if count == 1:
                assert await endpoints.record(one, DeliveryProgress(0, 1), None)
        await within(changed.wait())
    finally:
        listening.cancel()
    assert count == 4
