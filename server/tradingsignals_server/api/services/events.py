"""tradingsignals.v1.EventService."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from tradingsignals.v1 import event_service_pb2 as pb

from ...application.event_log.tail import Broadcast
from ..mapping.validation import subscription
from ..streams import event_stream


class EventServicer:
    """Streams the event log."""

    def __init__(self, broadcast: Broadcast) -> None:
        self._broadcast = broadcast

    async def stream_events(self, request: pb.StreamEventsRequest) -> AsyncGenerator[bytes]:
        """Everything, as it is committed."""
        return event_stream(await self._broadcast.follow(*subscription(request)))
