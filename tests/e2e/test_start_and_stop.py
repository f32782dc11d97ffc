"""Start and stop: no files are left, no data is lost, and errors are one line."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_status import rpc_status
from tests.support.bars import messages
from tests.support.builders import walk
from tests.support.deadlines import within
from tests.support.folders import scratch_folder
from tests.support.followers import STREAMS, by_ndjson, by_sse, through
from tests.support.processes import Process, all_ended, with_command
from tests.support.quotes import sure_buy
from tests.support.service import RunningService, health_with, running_service, service_in

from tradingsignals.v1.event_service_pb2 import StreamEventsRequest
from tradingsignals.v1.event_service_pb2_grpc import EventServiceStub
from tradingsignals.v1.market_data_service_pb2 import PublishBarsRequest
from tradingsignals.v1.market_data_service_pb2_grpc import MarketDataServiceStub
from tradingsignals_server.domain.bars import Bar

BARS = walk(120, seed=13)

KEPT = {"data/postgres", "data/database"}
"""The database, and the name of it for commands."""


def left_in(folder: Path) -> set[str]:
    """Return the files of a stopped service, except those of the database."""
    return {str(path.relative_to(folder)) for path in (folder / "data").iterdir()} | {
        str(path.relative_to(folder))
        for path in (folder / "data").rglob("*")
        if path.is_socket() or path.suffix in {".pid", ".lock"} or path.name == "lock"
    }


def nothing_runs(processes: list[Process]) -> bool:
    return not any(process.runs for process in processes)


@pytest.mark.parametrize("how", ["Ctrl-C", "SIGTERM"])
async def test_stop_leaves_no_files_and_a_restart_has_all_data(folder: Path, how: str) -> None:
    async with service_in(folder) as service:
        await service.start()
        async with service.rest() as rest:
            nothing_yet = await rest.get("/api/signals/latest")
            assert nothing_yet.status_code == 404
            assert nothing_yet.json()["details"][0]["reason"] == "SIGNAL_NOT_FOUND"
        async with service.client() as client:
            await client.publish_bars(messages(BARS))
            await client.generate_signal(**sure_buy("EURUSD"))  # type: ignore[arg-type]
        before = await everything_listed(service)
        assert len(before["history"]["signals"]) == 72

        processes = service.processes()
        assert {process.name for process in processes} >= {"envoy", "postgres"}
        code = await (service.press_ctrl_c() if how == "Ctrl-C" else service.stop(signal.Signals[how]))
        assert code == 0
        assert nothing_runs(processes)
        assert left_in(folder) == KEPT
        assert "Traceback" not in service.log, service.log
        assert '"ERROR"' not in service.log

        await service.start()
        assert await everything_listed(service) == before
        async with service.client() as client:
            response = await client.publish_bars(messages(BARS))
            assert response.duplicates == len(BARS)


async def everything_listed(service: RunningService) -> dict[str, Any]:
    """Return all lists without the end of the log, to which the outcomes are appended behind the signals."""
    async with service.rest() as rest:
        listed = {
            path.rpartition("/")[2]: (
                await rest.get(path, params={"limit": 500} if "active" not in path else {})
            ).json()
            for path in (
                "/api/signals/history",
                "/api/signals/positions/active",
                "/api/signals/positions/closed",
                "/api/market/bars",
            )
        }
    for each in listed.values():
        each.pop("through_sequence", None)
    return listed


async def test_start_can_be_interrupted_at_any_time(folder: Path) -> None:
    """Ctrl-C may come while Python loads, while the database is created, or while the edge starts."""
    clock = asyncio.get_running_loop().time
    async with service_in(folder) as service:
        began = clock()
        await service.start()
        whole = clock() - began
        await service.stop()
    for share in (0.2, 0.4, 0.6, 0.8):
        with scratch_folder() as fresh:
            async with service_in(fresh) as service:
                await service.begin()
                with pytest.raises(TimeoutError):
                    await within(service.ended(), whole * share)
                processes = service.processes()
                code = await service.press_ctrl_c()
                # Until our own handler is set, Python or click ends it.
                assert code in {0, 1, -signal.SIGINT}, service.log
                await all_ended(processes)  # of a program that is killed so, they notice it themselves
                if (fresh / "data").exists():
                    assert left_in(fresh) <= KEPT


async def test_serve_runs_the_grpc_server_alone(folder: Path) -> None:
    async with running_service(folder, "serve", LOG_LEVEL="INFO") as service:
        assert [process.name for process in service.processes() if process.name == "envoy"] == []
        async with service.direct_client() as client:
            assert (await client.service_info()).feed == "push"
        processes = service.processes()
        assert await service.stop() == 0
        assert nothing_runs(processes)
        assert left_in(folder) == KEPT


# ------------------------------------------------------------------------------------------------------------ obstacles


@contextmanager
def taken(port: int) -> Iterator[None]:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        yield


async def refusal(service: RunningService) -> str:
    """Return the one line of a start that fails."""
    await service.begin()
    assert await service.ended() == 1
    lines = [line for line in service.log.splitlines() if line and not line.startswith('{"time"')]
    assert len(lines) == 1, service.log
    assert "Traceback" not in service.log
    return lines[0]


@pytest.mark.parametrize("setting", ["SIGNAL_SERVICE_PORT", "GRPC_PORT", "FANOUT_PORT"])
async def test_error_names_a_port_that_is_taken(folder: Path, setting: str) -> None:
    async with service_in(folder) as service:
        ports = {
            "SIGNAL_SERVICE_PORT": service.port,
            "GRPC_PORT": service.grpc_port,
            "FANOUT_PORT": service.fanout_port,
        }
        port = ports[setting]
        with taken(port):
            line = await refusal(service)
        assert line.startswith("tradingsignals: ")
        assert str(port) in line
        assert setting in line
        assert left_in(folder) == KEPT
        await service.start()


@pytest.mark.parametrize("servers", ["1", "2"])
async def test_error_names_all_ports_that_are_taken(folder: Path, servers: str) -> None:
    async with service_in(folder, SERVERS=servers) as service:
        ports = [service.port, service.grpc_port, service.grpc_port + 1 if servers == "2" else service.fanout_port]
        with taken(ports[0]), taken(ports[1]), taken(ports[2]):
            line = await refusal(service)
        assert all(f"port {port} on 127.0.0.1" in line for port in ports)
        assert "Set SIGNAL_SERVICE_PORT and GRPC_PORT" in line
        assert nothing_runs(service.processes())


async def test_error_names_a_folder_that_is_in_use(folder: Path) -> None:
    async with running_service(folder) as first, service_in(folder) as second:
        line = await refusal(second)
        assert "DATA_DIR" in line
        assert str(first.pid) in line
        async with first.rest() as rest:
            assert (await rest.get("/health")).status_code == 200


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"CONFIDENCE_THRESHOLD": "1.5"}, "CONFIDENCE_THRESHOLD=1.5"),
        ({"MODEL_PATH": "no-such-model.onnx"}, "MODEL_PATH"),
        ({"BARS_TABLE": "no_such_table"}, "BARS_TABLE=no_such_table"),
        ({"FEED": "replay", "REPLAY_FILE": "no-such-file.csv"}, "no-such-file.csv"),
        ({"POSTGRES_HOST": "127.0.0.1", "POSTGRES_PORT": "1"}, "the database at 127.0.0.1:1 cannot be reached: "),
    ],
)
async def test_error_names_an_invalid_setting(folder: Path, settings: dict[str, str], named: str) -> None:
    """Other settings are tested in `tests/unit/config`; these errors occur at the start only."""
    async with service_in(folder, **settings) as service:
        line = await refusal(service)
    assert line.startswith("tradingsignals: ")
    assert named in line


# ------------------------------------------------------------------------------------------------------ ends of streams


async def test_followers_uploads_and_backtests_end_with_the_reason_at_shutdown(folder: Path) -> None:
    async with running_service(folder) as service:
        async with service.client() as client:
            await client.publish_bars(messages(BARS[:60]))
            newest = (await client.service_info()).through_sequence
        query = {"resume_after": 0}
        async with (
            grpc.aio.insecure_channel(service.address) as channel,
            by_sse(service, STREAMS["events"], query) as sse,
            by_ndjson(service, STREAMS["signals"], query) as ndjson,
            grpc.aio.insecure_channel(service.grpc_address) as direct,
            service.rest() as rest,
            rest.stream("POST", "/api/backtests", json={"symbols": ["USDCOP"]}) as backtest,
        ):
            (worker,) = with_command(service.processes(), "backtest_worker")
            os.kill(worker.pid, signal.SIGSTOP)  # at once, while it loads its program
            uploads = [await upload_of(each, BARS[0]) for each in (channel, direct)]
            call = EventServiceStub(channel).StreamEvents(StreamEventsRequest(resume_after=0))
            responses: Any = aiter(call)
            for each in (responses, sse, ndjson):
                await through(each, newest)
            lines = service.log
            stopping = asyncio.create_task(service.stop())

            for each in (responses, sse):
                event = await last_event(each)
                assert (event.error.reason, event.error.retryable) == ("SHUTTING_DOWN", True)
                newest = max(newest, event.sequence)
            while not (last := await within(anext(ndjson))).HasField("error"):
                pass
            assert (last.error.reason, last.through_sequence) == ("SHUTTING_DOWN", newest)

            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await within(anext(responses))
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
            for each in (sse, ndjson):
                with pytest.raises(StopAsyncIteration):
                    await within(anext(each))
            for upload in uploads:
                with pytest.raises(grpc.aio.AioRpcError) as ended:
                    await within(upload)
                assert reason_of(ended.value) == (grpc.StatusCode.UNAVAILABLE, "SHUTTING_DOWN")
            lines_of_backtest = [line async for line in backtest.aiter_lines() if line]
            assert json.loads(lines_of_backtest[-1])["error"]["reason"] == "SHUTTING_DOWN"
            assert await stopping == 0
        assert service.log == lines, "a stop is no cause for a warning"


async def last_event(responses: Any) -> Any:
    """Return the event that says why a stream ends, behind all that was committed, such as outcomes."""
    sequence = 0
    while True:
        for event in (await within(anext(responses))).events:
            if event.HasField("error"):
                assert sequence in {0, event.sequence}
                return event
            sequence = event.sequence


async def upload_of(channel: grpc.aio.Channel, bar: Bar) -> Any:
    """Begin an upload of bars that its caller does not end, and return the call, once its first bar is taken."""
    sent = asyncio.Event()

    async def requests() -> AsyncIterator[PublishBarsRequest]:
        yield PublishBarsRequest(bars=messages([bar]))
        sent.set()
        await asyncio.Event().wait()

    call: Any = MarketDataServiceStub(channel).PublishBars(requests())
    await within(sent.wait())
    await within(call.initial_metadata())
    return call


def reason_of(error: grpc.aio.AioRpcError) -> tuple[grpc.StatusCode, str]:
    """Return the code and the reason of an error."""
    status = rpc_status.from_call(error)  # type: ignore[arg-type]  # it has what is read of a call
    info = ErrorInfo()
    assert status is not None, error
    assert status.details[0].Unpack(info)
    return error.code(), info.reason


async def test_publisher_gets_its_response_or_an_error_at_shutdown(folder: Path) -> None:
    """Bars acknowledged before the stop are stored, and the others can be sent again."""
    bars = messages(walk(3000, seed=2))
    acknowledged = 0
    async with running_service(folder) as service:
        async with service.client() as client:

            async def publish() -> int:
                done = 0
                for start in range(0, len(bars), 20):
                    try:
                        response = await client.publish_bars(bars[start : start + 20])
                    except Exception:
                        return done
                    done += response.received
                return done

            publishing = asyncio.create_task(publish())
            async with service.direct_client() as direct:
                async for event in direct.stream_events(resume_after=0):
                    if event.sequence > 500:
                        break
            assert await service.stop() == 0
            acknowledged = await publishing
        assert 0 < acknowledged < len(bars)
        await service.start()
        async with service.client() as client:
            response = await client.publish_bars(bars[:acknowledged])
            assert response.duplicates == acknowledged
            response = await client.publish_bars(bars)
            assert response.rejected == response.late == 0


async def test_follower_gets_every_event_once_across_restarts(folder: Path) -> None:
    bars = messages(walk(200, seed=13))
    seen: list[int] = []
    async with service_in(folder) as service:
        for start in range(0, 200, 100):
            await service.start()
            async with service.client() as client:
                await client.publish_bars(bars[start : start + 50])
                stream = client.stream_events(resume_after=seen[-1] if seen else 0)
                newest = (await client.service_info()).through_sequence
                while not seen or seen[-1] < newest:
                    seen.append((await within(anext(stream))).sequence)
                # These are committed while no follower is connected.
                await client.publish_bars(bars[start + 50 : start + 100])
            await service.stop()
        await service.start()
        async with service.client() as client:
            newest = (await client.service_info()).through_sequence
            stream = client.stream_events(resume_after=seen[-1])
            while seen[-1] < newest:
                seen.append((await within(anext(stream))).sequence)
    assert seen == list(range(1, newest + 1))


async def test_health_reports_an_outage_of_the_database(folder: Path) -> None:
    """The status is 503 with a report, and 200 again once the database is available."""
    async with running_service(folder) as service:
        settings = service.data_dir / "postgres/postgresql.auto.conf"
        sound = settings.read_text()
        async with service.rest() as rest:
            settings.write_text("work_mem = 'much'\n")
            os.kill(service.child("postgres").pid, signal.SIGKILL)
            response = await health_with(rest, 503)
            report = response.json()["details"][-1]
            assert (report["status"], report["database_connected"]) == ("unhealthy", False)
            for path, body in (("/api/signals/generate", {"close_price": 4000}), ("/api/market/bars", None)):
                refused = await (rest.post(path, json=body) if body else rest.get(path))
                assert refused.status_code == 503
                assert refused.json()["details"][0]["reason"] == "STORAGE_UNAVAILABLE"
            settings.write_text(sound)
            response = await health_with(rest, 200)
            assert response.json()["database_connected"] is True
            assert (await rest.post("/api/signals/generate", json={"close_price": 4000})).status_code == 200
