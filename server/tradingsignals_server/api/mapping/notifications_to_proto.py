"""Endpoints of notifications and their deliveries as messages of the contract."""

from __future__ import annotations

from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp

from tradingsignals.v1 import notification_pb2 as pb

from ...domain.notifications import Delivery, Endpoint, EntryFilter
from .to_proto import timestamp

_MAXIMUM = 2**31 - 1


def endpoint_message(endpoint: Endpoint, newest: int) -> pb.NotificationEndpoint:
    """An endpoint, without its URL and secret; `newest` is the newest sequence of the log."""
    progress = endpoint.progress
    return pb.NotificationEndpoint(
        endpoint_id=str(endpoint.id),
        name=endpoint.name,
        kind=endpoint.kind,
        address=endpoint.address,
        state=progress.state,
        disabled_reason=progress.disabled_reason,
        filter=_filter_message(endpoint.filter),
        created_at=timestamp(endpoint.created_at),
        delivered_through=progress.cursor,
        pending_entries=_count(newest - progress.cursor),
        lost_entries=_count(progress.lost),
        failed_attempts=progress.failed_attempts,
        failing_since=_time(progress.failing_since),
        next_attempt_at=_time(progress.next_attempt_at),
    )


def delivery_message(delivery: Delivery) -> pb.NotificationDelivery:
    """An attempt to deliver an entry."""
    attempt = delivery.attempt
    return pb.NotificationDelivery(
        sequence=delivery.sequence,
        attempt=delivery.number,
        time=timestamp(attempt.time),
        delivered=not attempt.error,
        http_status=attempt.http_status,
        error=attempt.error,
        latency_ms=attempt.latency_ms,
    )


def _filter_message(filter_: EntryFilter) -> pb.NotificationFilter:
    return pb.NotificationFilter(
        kinds=sorted(filter_.kinds), symbols=sorted(filter_.symbols), min_confidence=filter_.min_confidence
    )


def _time(time: datetime | None) -> Timestamp | None:
    return None if time is None else timestamp(time)


def _count(value: int) -> int:
    return min(max(value, 0), _MAXIMUM)
