"""The TypeScript client, packed and installed as users do, against the real service: over gRPC and gRPC-Web in Node."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from grpc import StatusCode
from tests.support.bars import messages
from tests.support.builders import walk
from tests.support.deadlines import until
from tests.support.folders import scratch_folder
from tests.support.held_commits import commits_held_up
from tests.support.ports import free_ports
from tests.support.publishing import published
from tests.support.service import RunningService, running_service
from tests.support.typescript_client import MISSING, TypescriptFollower, TypescriptProject, examples

pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING)

DESCRIPTORS = Path(__file__).parents[2] / "envoy" / "descriptors.binpb"
PROTOCOLS = ("grpc", "grpc-web")
KILLS = 20
SERVER_KILLS = 5
BARS = messages(walk(900, seed=17))

_SIGNALS = "SELECT count(*) FROM events WHERE kind = 'SIGNAL'"

BODY = {"symbol": "USDCOP", "open": 4000.0, "high": 4010.0, "low": 3990.0, "close": 4000.0, "volume": 1.0}


@pytest.fixture(scope="module")
async def project() -> AsyncIterator[TypescriptProject]:
    with scratch_folder() as folder:
        yield await TypescriptProject.create(folder)


async def log_of(service: RunningService) -> list[int]:
    """Return the sequences of the log."""
    async with service.database() as database:
        return [row["sequence"] for row in await database.fetch("SELECT sequence FROM events ORDER BY sequence")]


async def test_followers_have_every_event_once_through_kills(project: TypescriptProject, folder: Path) -> None:
    async with running_service(folder) as service, AsyncExitStack() as stack:
        followers = [await stack.enter_async_context(project.follower(service.address, each)) for each in PROTOCOLS]
        for follower in followers:
            await follower.connected(1)
        for number in range(KILLS):
            publishing = asyncio.create_task(published(service, BARS[number * 20 : number * 20 + 25]))
            if number % (KILLS // SERVER_KILLS):
                os.kill(service.child("envoy").pid, signal.SIGKILL)
            else:
                await service.kill()
                await service.start()
            await publishing
            for follower in followers:
                await follower.connected(number + 2)
        log = await log_of(service)
        assert log == list(range(1, len(log) + 1))
        for follower in followers:
            assert (await follower.reached(log[-1]))[: len(log)] == log
        for protocol in PROTOCOLS:
            await call_is_done_once_through_a_lost_response(project, service, protocol)


async def call_is_done_once_through_a_lost_response(
    project: TypescriptProject, service: RunningService, protocol: str
) -> None:
    """The connection breaks between the commit and the response; the client repeats its call with its key."""
    call = ["signals", "generateSignal", {"symbol": "EURUSD", "closePrice": 1.17}]
    async with service.database() as database:
        before = await database.fetchval(_SIGNALS)
        async with commits_held_up(database) as waiting:
            calling = asyncio.create_task(project.calls(service.address, protocol, [call]))
            await until(lambda: waiting(1))
            os.kill(service.child("envoy").pid, signal.SIGKILL)
        (result,) = await calling
        assert (result.get("error"), result["replayed"]) == (None, True), result
        assert await database.fetchval(_SIGNALS) == before + 1


async def test_followers_report_pruned_events(project: TypescriptProject, folder: Path) -> None:
    async with running_service(folder) as service:
        last = await published(service, BARS[:200])
        async with service.database() as database:
            await database.execute("DELETE FROM events WHERE sequence <= 100")
        await service.kill()
        await service.start()
        for protocol in PROTOCOLS:
            async with project.follower(service.address, protocol, resumeAfter=10) as strict:
                error = await strict.failed()
            assert (error["error"], error["reason"], error["code"]) == (
                "EventsPruned",
                "SEQUENCE_PRUNED",
                StatusCode.OUT_OF_RANGE.value[0],
            )
            assert (error["sequence"], error["oldestSequence"]) == (10, 101)
            async with project.follower(service.address, protocol, resumeAfter=10, onPruned="skip") as easy:
                assert (await easy.reached(last))[: last - 100] == list(range(101, last + 1))
            assert {"notice": "skipped", "sequence": 10, "oldestSequence": 101} in easy.notices


async def test_followers_report_a_new_epoch(project: TypescriptProject, folder: Path) -> None:
    async with running_service(folder) as service, AsyncExitStack() as stack:

        async def following(protocol: str, on_new_epoch: str) -> TypescriptFollower:
            return await stack.enter_async_context(
                project.follower(service.address, protocol, onNewEpoch=on_new_epoch, heartbeatSeconds=1)
            )

        strict = [await following(protocol, "throw") for protocol in PROTOCOLS]
        easy = [await following(protocol, "start over") for protocol in PROTOCOLS]
        last = await published(service, BARS[:100])
        for follower in (*strict, *easy):
            await follower.reached(last)
        assert await service.stop() == 0
        shutil.rmtree(service.data_dir)
        await service.start()
        new_last = await published(service, BARS[:300])
        async with service.client() as client:
            epoch = (await client.service_info()).epoch
        for follower in strict:
            error = await follower.failed()
            assert (error["error"], error["epoch"]) == ("EpochChanged", epoch)
            assert error["oldEpoch"] not in {"", epoch}
        for follower in easy:
            await follower.reached(new_last)
            assert [each["epoch"] for each in follower.notices if each["notice"] == "started over"] == [epoch]
            seen = follower.sequences[follower.sequences.index(1, 1) :]
            assert seen[:new_last] == list(range(1, new_last + 1))


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_errors_are_typed(
    project: TypescriptProject, service: RunningService, protocol: str, symbol: str
) -> None:
    bar = {**BODY, "symbol": symbol, "time": {"seconds": 1_704_204_000}}
    none = "00000000-0000-0000-0000-000000000000"
    results = await project.calls(
        service.address,
        protocol,
        [
            ["signals", "listSignals", {"limit": 5000}],
            ["positions", "closePosition", {"positionId": none}],
            ["marketData", "publishBar", {"bar": bar}],
            ["marketData", "publishBar", {"bar": {**bar, "close": 4001.0}}],
            ["signals", "generateSignalFromDb", {"symbol": symbol}],
            ["signals", "streamSignals", {"resumeAfter": 1_000_000_000}],
            ["signals", "streamSignals", {"resumeAfter": 0}],
        ],
    )
    assert [(each.get("error"), each.get("reason")) for each in results] == [
        ("InvalidRequest", "INVALID_FIELD"),
        ("NotFound", "POSITION_NOT_FOUND"),
        (None, None),
        ("AlreadyExists", "BAR_CONFLICT"),
        ("FailedPrecondition", "NOT_ENOUGH_BARS"),
        ("OutOfRange", "SEQUENCE_UNKNOWN"),
        (None, None),
    ]
    assert [each["field"] for each in results[0]["violations"]] == ["limit"]
    assert results[1]["metadata"]["position_id"] == none
    assert not any(each["retryable"] for each in results if "error" in each)


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_call_with_a_key_of_its_own_is_done_once(
    project: TypescriptProject, service: RunningService, protocol: str, symbol: str
) -> None:
    def generate(price: float, key: str | None = None) -> list[object]:
        options = {} if key is None else {"idempotencyKey": f"{protocol}-{key}"}
        return ["signals", "generateSignal", {"symbol": symbol, "closePrice": price}, options]

    sent = [generate(4000.0, "k"), generate(4000.0, "k"), generate(4000.5, "k"), generate(4000.0), generate(4000.0)]
    first, again, other, *without = await project.calls(service.address, protocol, sent)
    assert (first["replayed"], again["replayed"]) == (False, True)
    assert again["response"] == first["response"]
    assert (other["error"], other["reason"]) == ("AlreadyExists", "IDEMPOTENCY_KEY_REUSED")
    assert [each["replayed"] for each in without] == [False, False]
    assert len({each["response"]["signal"]["signalId"] for each in (first, *without)}) == 3


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_service_that_is_away_is_unavailable(project: TypescriptProject, protocol: str) -> None:
    (port,) = free_ports(1)
    (result,) = await project.calls(f"127.0.0.1:{port}", protocol, [["signals", "getLatestSignal", {}]])
    assert (result["error"], result["retryable"]) == ("Unavailable", True)


async def test_every_rpc_of_the_contract_is_a_method_that_the_service_answers(
    project: TypescriptProject, service: RunningService
) -> None:
    files = FileDescriptorSet.FromString(DESCRIPTORS.read_bytes()).file
    services = [each for file in files if file.package == "tradingsignals.v1" for each in file.service]
    rpcs = [f"{each.name}.{method.name}" for each in services for method in each.method]
    results = await project.calls(service.address, "grpc")
    assert sorted(each["rpc"] for each in results) == sorted(rpcs)
    # The process of statistics, which has a low priority, may get no processor in time.
    failed = {each["rpc"]: each for each in results if "error" in each and each["reason"] != "STATISTICS_LIMIT"}
    assert {each["error"] for each in failed.values()} <= {"InvalidRequest", "NotFound", "FailedPrecondition"}
    assert all(each["reason"] for each in failed.values())


async def test_examples_for_node_in_the_readme_run(project: TypescriptProject, service: RunningService) -> None:
    programs = [each for each in examples() if "trading-signals-client/node" in each]
    assert len(programs) == 2
    printed = await project.run_typescript(*[each.replace("127.0.0.1:8003", service.address) for each in programs])
    assert "Model confidence" in printed[0]
