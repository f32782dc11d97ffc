"""The contract of stores of endpoints."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
from tests.support.builders import NOW

from tradingsignals_server.application.ports.notifications import EndpointChanges, EndpointStore
from tradingsignals_server.domain.events import EventKind
from tradingsignals_server.domain.notification_errors import EndpointExists, TooManyEndpoints
from tradingsignals_server.domain.notifications import (
    KEPT_DELIVERIES,
    MAX_ENDPOINTS,
    Attempt,
    Delivery,
    DeliveryProgress,
    EndpointState,
    EntryFilter,
)

from ..memory_endpoints import endpoint

FAILED = DeliveryProgress(5, 2, 3, NOW, NOW + timedelta(seconds=5))


def delivery(sequence: int, error: str = "") -> Delivery:
    return Delivery(sequence, 1, Attempt(NOW, 12.5, 503 if error else 204, error))


class EndpointsContract:
    """Endpoints and their deliveries."""

    async def test_endpoint_is_read_as_it_was_stored(self, endpoints: EndpointStore) -> None:
        filter_ = EntryFilter(frozenset({EventKind.SIGNAL, EventKind.OUTCOME}), frozenset({"USDCOP"}), 0.7)
        one, two = endpoint(1, filter_=filter_), endpoint(2, cursor=7)
        await endpoints.add_endpoint(one)
        await endpoints.add_endpoint(two)
        assert list(await endpoints.load_endpoints()) == [two, one]
        assert await endpoints.find_endpoint(one.id) == one
        assert await endpoints.find_endpoint(UUID(int=3)) is None

    async def test_names_are_unique_and_the_number_is_bounded(self, endpoints: EndpointStore) -> None:
        for number in range(MAX_ENDPOINTS - 1):
            await endpoints.add_endpoint(endpoint(number))
        with pytest.raises(EndpointExists):
            await endpoints.add_endpoint(replace(endpoint(0), id=UUID(int=1000)))
        await endpoints.add_endpoint(endpoint(1001))
        with pytest.raises(TooManyEndpoints):
            await endpoints.add_endpoint(endpoint(1002))

    async def test_change_leaves_what_is_absent_and_forgets_failures(self, endpoints: EndpointStore) -> None:
        one = endpoint(1, filter_=EntryFilter(min_confidence=0.7))
        await endpoints.add_endpoint(one)
        disabled = replace(FAILED, state=EndpointState.DISABLED, disabled_reason="gone")
        assert await endpoints.record(one, disabled, None)
        moved = await endpoints.change_endpoint(one.id, EndpointChanges(cursor=3))
        stopped = DeliveryProgress(3, 2, state=EndpointState.DISABLED, disabled_reason="gone")
        assert moved == replace(one, progress=stopped, revision=1)
        filter_ = EntryFilter(symbols=frozenset({"EURUSD"}))
        changes = EndpointChanges("https://other.example", filter_, EndpointState.ACTIVE)
        changed = await endpoints.change_endpoint(one.id, changes)
        expected = replace(
            one, url="https://other.example", filter=filter_, progress=DeliveryProgress(3, 2), revision=2
        )
        assert changed == expected
        assert await endpoints.find_endpoint(one.id) == expected
        assert await endpoints.change_endpoint(UUID(int=9), EndpointChanges()) is None

    async def test_progress_is_recorded_with_its_attempt(self, endpoints: EndpointStore) -> None:
        one = endpoint()
        await endpoints.add_endpoint(one)
        assert await endpoints.record(one, FAILED, delivery(6, "the receiver has responded with HTTP 503"))
        assert await endpoints.find_endpoint(one.id) == (failed := replace(one, progress=FAILED))
        assert await endpoints.record(failed, DeliveryProgress(6), delivery(6))
        assert await endpoints.record(replace(one, progress=DeliveryProgress(6)), DeliveryProgress(9), None)
        expected = [delivery(6), delivery(6, "the receiver has responded with HTTP 503")]
        assert list(await endpoints.list_deliveries(one.id, 10)) == expected
        assert list(await endpoints.list_deliveries(one.id, 1)) == expected[:1]

    async def test_endpoint_that_was_moved_changed_or_paused_is_not_recorded(self, endpoints: EndpointStore) -> None:
        one = endpoint()
        await endpoints.add_endpoint(one)
        assert await endpoints.record(one, DeliveryProgress(4), delivery(4))
        assert not await endpoints.record(one, DeliveryProgress(3), delivery(3)), "moved by another server"
        current = replace(one, progress=DeliveryProgress(4))
        await endpoints.change_endpoint(one.id, EndpointChanges(state=EndpointState.PAUSED))
        assert not await endpoints.record(current, DeliveryProgress(5), delivery(5)), "changed by a caller"
        assert not await endpoints.record(replace(current, revision=1), DeliveryProgress(5), delivery(5)), "paused"
        assert [each.sequence for each in await endpoints.list_deliveries(one.id, 10)] == [4]

    async def test_newest_deliveries_are_kept(self, endpoints: EndpointStore) -> None:
        one = endpoint()
        await endpoints.add_endpoint(one)
        for sequence in range(1, KEPT_DELIVERIES + 3):  # a commit each
            assert await endpoints.record(one, DeliveryProgress(sequence), delivery(sequence))
            one = replace(one, progress=DeliveryProgress(sequence))
        kept = await endpoints.list_deliveries(one.id, KEPT_DELIVERIES + 10)
        assert [each.sequence for each in kept] == list(range(KEPT_DELIVERIES + 2, 2, -1))

    async def test_deleted_endpoint_is_gone_with_its_deliveries(self, endpoints: EndpointStore) -> None:
        one = endpoint()
        await endpoints.add_endpoint(one)
        await endpoints.record(one, DeliveryProgress(1), delivery(1))
        assert await endpoints.delete_endpoint(one.id)
        assert not await endpoints.delete_endpoint(one.id)
        assert not await endpoints.record(replace(one, progress=DeliveryProgress(1)), DeliveryProgress(2), delivery(2))
        await endpoints.add_endpoint(one)
        assert not await endpoints.list_deliveries(one.id, 10)
