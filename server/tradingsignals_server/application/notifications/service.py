"""Makes, lists, changes, tests and deletes endpoints of notifications."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from ...domain.access import MAX_NAME_CHARACTERS
from ...domain.errors import FieldViolation, InvalidRequest
from ...domain.notification_errors import EndpointNotFound
from ...domain.notifications import (
    SECRET_BYTES,
    Attempt,
    Delivery,
    DeliveryProgress,
    Endpoint,
    EndpointKind,
    EntryFilter,
    secret_text,
    webhook_problem,
)
from ..event_log.tail import LogTail
from ..ports.clock import Clock
from ..ports.notifications import EndpointChanges, EndpointStore, Sender
from .messages import check_message


@dataclass(frozen=True, slots=True)
class Endpoints:
    """All endpoints, the newest first, and the newest sequence of the log."""

    endpoints: Sequence[Endpoint]
    newest: int


class EndpointService:
    """The endpoints in the database.

    Args:
        store: has them.
        sender: sends test messages.
        log_tail: the log, whose end is where a new endpoint begins.
        clock: the time.
        random_bytes: returns unpredictable bytes: secrets.token_bytes.
        new_id: returns a new UUID.
        allow_http: accept URLs without encryption, as there are networks that it is for.
    """

    def __init__(
        self,
        store: EndpointStore,
        sender: Sender,
        log_tail: LogTail,
        clock: Clock,
        random_bytes: Callable[[int], bytes],
        new_id: Callable[[], UUID],
        *,
        allow_http: bool,
    ) -> None:
        self._store = store
        self._sender = sender
        self._log_tail = log_tail
        self._clock = clock
        self._random_bytes = random_bytes
        self._new_id = new_id
        self._allow_http = allow_http

    async def create(self, name: str, url: str, filter_: EntryFilter, resume_after: int | None) -> Endpoint:
        """Make an endpoint that gets what comes after `resume_after`, or from now on; its secret is in the result.

        Raises:
            InvalidRequest: the name or the URL is not valid.
            EndpointExists, TooManyEndpoints: see EndpointStore.add_endpoint.
            SequencePruned, SequenceUnknown: `resume_after` is not in the log.
        """
        self._require(name, url)
        cursor = self._log_tail.newest
        if resume_after is not None:
            await self._log_tail.check(cursor := resume_after)
        endpoint = Endpoint(
            id=self._new_id(),
            name=name,
            kind=EndpointKind.WEBHOOK,
            url=url,
            secret=secret_text(self._random_bytes(SECRET_BYTES)),
            filter=filter_,
            created_at=self._clock(),
            progress=DeliveryProgress(cursor),
        )
        await self._store.add_endpoint(endpoint)
        return endpoint

    async def list(self) -> Endpoints:
        """Return all endpoints."""
        return Endpoints(await self._store.load_endpoints(), self._log_tail.newest)

    async def change(self, endpoint_id: UUID, changes: EndpointChanges) -> Endpoint:
        """Change an endpoint, and return it.

        Raises:
            InvalidRequest: the URL is not valid.
            EndpointNotFound: there is no such endpoint.
            SequencePruned, SequenceUnknown: the cursor is not in the log.
        """
        if changes.url is not None:
            self._require(None, changes.url, "changes.url")
        if changes.cursor is not None:
            await self._log_tail.check(changes.cursor)
        endpoint = await self._store.change_endpoint(endpoint_id, changes)
        if endpoint is None:
            raise EndpointNotFound(str(endpoint_id))
        return endpoint

    async def delete(self, endpoint_id: UUID) -> None:
        """Delete an endpoint and its deliveries.

        Raises:
            EndpointNotFound: there is no such endpoint.
        """
        if not await self._store.delete_endpoint(endpoint_id):
            raise EndpointNotFound(str(endpoint_id))

    async def test(self, endpoint_id: UUID) -> Attempt:
        """Send a test message, whatever the state of the endpoint.

        Raises:
            EndpointNotFound: there is no such endpoint.
        """
        endpoint = await self._found(endpoint_id)
        return await self._sender.send(endpoint, check_message(endpoint, self._new_id(), self._clock()))

    async def deliveries(self, endpoint_id: UUID, limit: int) -> Sequence[Delivery]:
        """Return the newest attempts at an endpoint, the newest first.

        Raises:
            EndpointNotFound: there is no such endpoint.
        """
        await self._found(endpoint_id)
        return await self._store.list_deliveries(endpoint_id, limit)

    @property
    def newest(self) -> int:
        """The newest sequence of the log."""
        return self._log_tail.newest

    async def _found(self, endpoint_id: UUID) -> Endpoint:
        endpoint = await self._store.find_endpoint(endpoint_id)
        if endpoint is None:
            raise EndpointNotFound(str(endpoint_id))
        return endpoint

    def _require(self, name: str | None, url: str, field: str = "url") -> None:
        found = []
        if name is not None and (
            not 1 <= len(name) <= MAX_NAME_CHARACTERS or not name.isprintable() or name != name.strip()
        ):
            found.append(FieldViolation("name", f"must be 1 to {MAX_NAME_CHARACTERS} printable characters"))
        if (problem := webhook_problem(url, allow_http=self._allow_http)) is not None:
            found.append(FieldViolation(field, problem))
        if found:
            raise InvalidRequest(found)
