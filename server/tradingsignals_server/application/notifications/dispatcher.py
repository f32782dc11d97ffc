"""Runs the delivery to every active endpoint, each in a task of its own, so that none waits for another."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Sequence
from typing import Final
from uuid import UUID

from ...domain.errors import StorageUnavailable
from ...domain.notifications import Endpoint, EndpointState
from ...domain.values import dataclass
from .delivery import RETRY_SECONDS, Delivering, EndpointDelivery

FAULT_SECONDS: Final = 10.0
"""Until a delivery is begun again that ended by a defect."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Running:
    delivery: EndpointDelivery
    revision: int
    task: asyncio.Task[None]


class Dispatcher:
    """Delivers to all endpoints of a database. Only one server does so at a time.

    Two that do for a moment send a message twice, with the same id; the cursor moves once.
    """

    def __init__(self, shared: Delivering) -> None:
        self._shared = shared
        self._changed = asyncio.Event()
        self._running: dict[UUID, _Running] = {}
        self._known: Sequence[Endpoint] = ()

    @property
    def endpoints(self) -> Sequence[Endpoint]:
        """All endpoints as they are now; none while this server does not deliver."""
        running = self._running
        return [each if each.id not in running else running[each.id].delivery.endpoint for each in self._known]

    async def run(self) -> None:
        """Deliver until cancelled. It may be called again."""
        self._changed.clear()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._listen())
                while True:
                    await self._changed.wait()
                    self._changed.clear()
                    if self._shared.log_tail.is_stopping:
                        continue
                    try:
                        self._known = await self._shared.store.load_endpoints()
                    except StorageUnavailable:
                        await self._shared.sleep(RETRY_SECONDS)
                        self._changed.set()
                        continue
                    await self._match(group, self._known)
        finally:
            self._running, self._known = {}, ()

    async def _listen(self) -> None:
        while True:
            try:
                await self._shared.store.listen(self._changed.set)
            except StorageUnavailable:
                await self._shared.sleep(RETRY_SECONDS)

    async def _match(self, group: asyncio.TaskGroup, endpoints: Sequence[Endpoint]) -> None:
        """End the deliveries of endpoints that are changed or not active, and begin those that do not run."""
        active = {each.id: each for each in endpoints if each.progress.state is EndpointState.ACTIVE}
        ended = [
            id_
            for id_, running in self._running.items()
            if id_ not in active or active[id_].revision != running.revision or running.task.done()
        ]
        await self._end(ended)
        for id_, endpoint in active.items():
            if id_ not in self._running:
                delivery = EndpointDelivery(endpoint, self._shared)
                task = group.create_task(self._run(delivery))
                task.add_done_callback(lambda _: self._changed.set())
                self._running[id_] = _Running(delivery, endpoint.revision, task)

    async def _end(self, ids: Collection[UUID]) -> None:
        tasks = [self._running.pop(id_).task for id_ in ids]
        for task in tasks:
            task.cancel()
        if tasks:  # the next delivery to the same endpoint begins when nothing of this one is under way
            await asyncio.wait(tasks)

    async def _run(self, delivery: EndpointDelivery) -> None:
        try:
            await delivery.run()
        except Exception:
            # A defect with one endpoint must not take the others down.
            log.exception("the delivery to the endpoint %s has ended; it is begun again", delivery.endpoint.name)
            await self._shared.sleep(FAULT_SECONDS)
