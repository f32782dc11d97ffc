"""Messages to endpoints: ids that stay the same, and bodies."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from ...domain.errors import ServiceError, time_text
from ...domain.notifications import Endpoint
from ..ports.event_log import LogEntry
from ..ports.notifications import EntryBody, Message


class BodyEncoding:
    """Implements application.event_log.group.Encoding: a response is the body of one message.

    A heartbeat is empty: it says how far the log has been passed, and nothing is sent.
    """

    effort = 1
    begins_with_heartbeat = False

    def __init__(self, body: EntryBody) -> None:
        self._body = body

    def entries(self, entries: Sequence[LogEntry], through_sequence: int) -> bytes:  # noqa: ARG002 - see Encoding
        """See Encoding."""
        (entry,) = entries
        return self._body(entry)

    def heartbeat(self, through_sequence: int) -> bytes:  # noqa: ARG002 - see Encoding
        """See Encoding."""
        return b""

    def end(self, through_sequence: int, error: ServiceError) -> bytes:  # noqa: ARG002 - see Encoding
        """See Encoding."""
        return b""


def entry_message(epoch: UUID, sequence: int, body: bytes) -> Message:
    """Return the message of an entry of the log; its id is that of the entry, for every endpoint and attempt."""
    time = datetime.fromisoformat(json.loads(body)["timestamp"])
    return Message(f"msg_{epoch.hex}_{sequence}", body, time)


def check_message(endpoint: Endpoint, id_: UUID, now: datetime) -> Message:
    """Return a message that only checks whether an endpoint can be reached."""
    data = {"endpoint_id": str(endpoint.id), "name": endpoint.name}
    body = json.dumps({"type": "test", "timestamp": time_text(now), "data": data}, separators=(",", ":"))
    return Message(f"test_{id_.hex}", body.encode(), now)
