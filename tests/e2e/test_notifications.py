"""Notifications of a real service: what a receiver sees through kills, several servers, and changes of an endpoint."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from tests.support.bars import messages
from tests.support.builders import walk
from tests.support.commands import run
from tests.support.deadlines import until
from tests.support.processes import Process, children, listener
from tests.support.receiver import Received, running_receiver
from tests.support.service import RunningService, running_service

from tradingsignals import (
    AlreadyExists,
    AsyncClient,
    InvalidRequest,
    NotFound,
    NotificationEndpoint,
    NotificationFilter,
    TemporaryError,
)
from tradingsignals_server.adapters.postgres.lease import Lock
from tradingsignals_server.domain.bars import Bar

BARS = walk(200, seed=46)
NETWORKS = {"WEBHOOK_NETWORKS": "127.0.0.0/8"}
DELIVERER = """
SELECT address FROM pg_locks AS role JOIN pg_locks AS server USING (pid)
JOIN servers ON server.objid = lock_key::int8::oid
WHERE role.classid = $1::int8::oid AND role.objid = 3 AND server.classid = $2::int8::oid
"""
"""The address of the server that has the role to deliver."""
ACTIVE, PAUSED = NotificationEndpoint.ACTIVE, NotificationEndpoint.PAUSED


def assert_promises(received: list[Received], expected: list[int]) -> None:
    """Check the promises: in order, none lost, and a repeated message has its id and content."""
    sequences = [one.sequence for one in received]
    assert list(dict.fromkeys(sequences)) == expected, "every entry, the first ones in order"
    assert sequences == sorted(sequences), "none is repeated after a later one"
    assert len({one.id for one in received}) == len({one.body for one in received}) == len(expected)


async def log_of(service: RunningService, kinds: list[str]) -> list[int]:
    """Return the sequences of the log's entries of some kinds."""
    async with service.database() as database:
        rows = await database.fetch("SELECT sequence FROM events WHERE kind = ANY ($1) ORDER BY sequence", kinds)
    return [row["sequence"] for row in rows]


async def test_user_makes_tests_changes_and_deletes_an_endpoint(folder: Path) -> None:
    async with (
        running_service(folder, **NETWORKS) as service,
        service.client() as client,
        service.rest() as rest,
        running_receiver() as receiver,
    ):
        url = f"http://127.0.0.1:{receiver.port}/signals?key=hidden"
        made = await client.create_endpoint("desk", url, filter=NotificationFilter(kinds=["SIGNAL"]))
        endpoint = made.endpoint
        assert (endpoint.address, endpoint.state) == (f"http://127.0.0.1:{receiver.port}", ACTIVE)
        tested = await client.test_endpoint(endpoint.endpoint_id)
        assert (tested.delivered, tested.http_status) == (True, 204)
        receiver.received[0].verify(made.secret)
        assert receiver.received[0].content["type"] == "test"

        await client.publish_bars(messages(BARS[:60]))
        expected = await log_of(service, ["SIGNAL"])
        received = (await receiver.until(1 + len(expected)))[1:]
        assert_promises(received, expected)
        for one in received:
            one.verify(made.secret)
        (streamed,) = (await rest.get("/api/signals/history?limit=1")).json()["signals"]
        assert received[-1].content["data"]["signal"] == streamed
        assert received[-1].content["type"] == "signal"

        deliveries = await client.list_deliveries(endpoint.endpoint_id, limit=5)
        assert [each.sequence for each in deliveries] == expected[:-6:-1]
        paused = await client.update_endpoint(endpoint.endpoint_id, paused=True, resume_after=expected[-3])
        assert paused.state == PAUSED
        await client.update_endpoint(endpoint.endpoint_id, paused=False)
        again = await receiver.until(len(received) + 3)
        assert [one.id for one in again[-2:]] == [one.id for one in received[-2:]]

        with pytest.raises(AlreadyExists):
            await client.create_endpoint("desk", url)
        with pytest.raises(InvalidRequest):
            await client.create_endpoint("mail", "mailto:desk@desk.example")
        await client.delete_endpoint(endpoint.endpoint_id)
        assert not await client.list_endpoints()
        with pytest.raises(NotFound):
            await client.test_endpoint(endpoint.endpoint_id)
        settings = {"DATA_DIR": str(service.data_dir), "FEED": "push", **NETWORKS}
        await run("notifications", "create", "by command", url, **settings)

        async def audited() -> str:
            """Return the audit log once it has all four: made by a call, refused twice, made by the command."""
            text = (await rest.get("/api/access/audit?limit=100")).text
            return text if text.count("CreateEndpoint") == 4 else ""

        audit = await until(audited)
        assert "tradingsignals notifications" in audit
        for secret in ("hidden", made.secret):
            assert secret not in audit + service.log + (await rest.get("/api/notifications/endpoints")).text


@pytest.mark.slow
async def test_kill_of_the_server_loses_no_message_and_repeats_only_with_the_same_id(folder: Path) -> None:
    async with running_service(folder, **NETWORKS) as service, running_receiver() as receiver:
        async with service.client() as client:
            filter_ = NotificationFilter(kinds=["SIGNAL", "POSITION_UPDATE"])
            url = f"http://127.0.0.1:{receiver.port}/"
            await client.create_endpoint("desk", url, filter=filter_, resume_after=0)
            receiver.script = [500, 204, 503, "reset", 204]
            await client.publish_bars(messages(BARS))
        for count in (5, 40, 90):
            await receiver.until(count)
            await service.kill()
            await service.start()
        expected = await log_of(service, ["SIGNAL", "POSITION_UPDATE"])
        assert len(expected) > 100
        await until(lambda: delivered(service, expected[-1]))
    assert_promises(receiver.accepted, expected)


async def delivered(service: RunningService, sequence: int) -> bool:
    """Return whether all endpoints have been delivered to up to a sequence."""
    async with service.database() as database:
        cursor: int = await database.fetchval("SELECT min(cursor) FROM notification_endpoints")
        return cursor >= sequence


@pytest.mark.slow
async def test_two_servers_deliver_once_and_another_goes_on_when_one_is_killed(folder: Path) -> None:
    async with (
        running_service(folder, "up", "--servers", "2", GRPC_PORT="0", **NETWORKS) as service,
        running_receiver() as receiver,
        running_receiver() as dead,
    ):
        dead.always = "silent"
        async with service.client() as client:
            filter_ = NotificationFilter(kinds=["SIGNAL"])
            for name, port in (("dead", dead.port), ("desk", receiver.port)):
                await client.create_endpoint(name, f"http://127.0.0.1:{port}/", filter=filter_, resume_after=0)
            await client.publish_bars(messages(BARS[:100]))
            before = await log_of(service, ["SIGNAL"])
            await receiver.until(len(before))
            assert_promises(receiver.received, before)
            assert len(receiver.received) == len(before), "two servers that live deliver each once"
            os.kill((await deliverer(service)).pid, signal.SIGKILL)
            await published(client, BARS[100:150])
        after = await log_of(service, ["SIGNAL"])
        received = await receiver.until(len(after))
        assert_promises(received, after)
    assert {one.sequence for one in dead.received} == {after[0]}


async def deliverer(service: RunningService) -> Process:
    """Return the server that delivers."""
    async with service.database() as database:
        address = await database.fetchval(DELIVERER, Lock.ROLE, Lock.SERVER)
    servers = [process for process in children(service.pid) if process.name not in {"envoy", "postgres"}]
    return next(process for process in servers if process.pid == listener(address))


async def published(client: AsyncClient, bars: list[Bar]) -> None:
    """Publish bars, with retries while a server is replaced."""

    async def publish() -> bool:
        try:
            await client.publish_bars(messages(bars))
        except TemporaryError:
            return False
        return True

    await until(publish)
