"""Envoy as a child process: start, restart, and removal of its files."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_network
from pathlib import Path

import httpx
import pytest
from tests.support.deadlines import DEADLINE
from tests.support.ports import free_ports

from tradingsignals_server.adapters.envoy.process import EdgeFailed, EdgePortTaken, envoy_binary, running_edge
from tradingsignals_server.adapters.envoy.render import Address, EdgeConfig, write_edge_files

NO_SERVER = Address("127.0.0.1", 1)  # these tests only request files that Envoy serves itself


def config_at(port: int = 0) -> EdgeConfig:
    return EdgeConfig(Address("127.0.0.1", port), NO_SERVER)


async def is_up(url: str) -> bool:
    async with httpx.AsyncClient(timeout=DEADLINE) as client:
        return (await client.get(f"{url}/openapi.json")).status_code == 200


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def ended(pid: int) -> None:
    """Wait until a process has exited; it may still be a zombie."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    gone = asyncio.Event()
    asyncio.get_running_loop().add_reader(process, gone.set)
    try:
        await asyncio.wait_for(gone.wait(), DEADLINE)
    finally:
        asyncio.get_running_loop().remove_reader(process)
        os.close(process)


class LogLines(logging.Handler):
    """A log handler on which a test can await a line."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: asyncio.Queue[str] = asyncio.Queue()

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.put_nowait(record.getMessage())

    async def line(self, part: str) -> str:
        async with asyncio.timeout(DEADLINE):
            while part not in (line := await self._lines.get()):
                pass
        return line


@contextmanager
def log_lines() -> Iterator[LogLines]:
    lines, logger = LogLines(), logging.getLogger("tradingsignals_server.adapters.envoy.process")
    before = logger.level
    logger.addHandler(lines)
    logger.setLevel(logging.INFO)
    try:
        yield lines
    finally:
        logger.setLevel(before)
        logger.removeHandler(lines)


async def test_envoy_is_restarted_on_its_port_whenever_it_dies(tmp_path: Path) -> None:
    with log_lines() as lines:
        async with running_edge(config_at(), tmp_path / "edge") as edge:
            for _ in range(3):
                assert await is_up(edge.url)
                pid = edge.pid
                assert pid is not None
                os.kill(pid, signal.SIGKILL)
                assert "exit code -9" in await lines.line("envoy died")
                await lines.line(f"back on port {edge.port}")
                assert edge.pid not in (None, pid)
            assert await is_up(edge.url)


async def test_edge_can_be_stopped_during_a_restart(tmp_path: Path) -> None:
    with log_lines() as lines:
        async with running_edge(config_at(*free_ports(1)), tmp_path / "edge") as edge:
            assert edge.pid is not None
            os.kill(edge.pid, signal.SIGKILL)
            await lines.line("envoy died")
        with socket.create_server(("127.0.0.1", edge.port)):
            pass  # the port is free
    assert not (tmp_path / "edge").exists()


async def test_two_edges_run_at_the_same_time(tmp_path: Path) -> None:
    async with running_edge(config_at(), tmp_path / "a") as a, running_edge(config_at(), tmp_path / "b") as b:
        assert a.port != b.port
        assert await is_up(a.url)
        assert await is_up(b.url)


async def test_edge_removes_its_files_and_can_start_again_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "edge"
    (port,) = free_ports(1)  # below those of outgoing connections, one of which could take it between two starts
    for _ in range(3):
        async with running_edge(config_at(port), folder) as edge:
            assert await is_up(edge.url)
            assert edge.port == port
            assert (folder / "admin.sock").stat().st_mode & 0o777 == 0o600
            pid = edge.pid
        assert not folder.exists()
        assert pid is not None
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


async def test_other_files_in_the_folder_remain(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    async with running_edge(config_at(), tmp_path):
        pass
    assert names_in(tmp_path) == ["notes.txt"]


@pytest.mark.parametrize("name", ["with blanks", "\U0001f4c8 año", "\"quotes\" and \\ 'more'"])
async def test_folder_may_have_any_name(tmp_path: Path, name: str) -> None:
    async with running_edge(config_at(), tmp_path / name) as edge:
        assert await is_up(edge.url)


async def test_path_of_the_folder_may_exceed_the_limit_of_sockets(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 120) / "edge"
    async with running_edge(config_at(), folder) as edge:
        assert await is_up(edge.url)
    assert not folder.exists()


@pytest.mark.parametrize("taken_by", ["an edge", "something else"])
async def test_error_names_a_port_that_is_taken(tmp_path: Path, taken_by: str) -> None:
    async with running_edge(config_at(), tmp_path / "first") as first:
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = first.port if taken_by == "an edge" else other.getsockname()[1]
            with pytest.raises(EdgePortTaken, match=f"port {port} on 127.0.0.1 is taken") as taken:
                async with running_edge(config_at(port), tmp_path / "second"):
                    pass
    assert taken.value.port == port
    assert not (tmp_path / "second").exists()


async def test_error_names_an_address_of_another_machine(tmp_path: Path) -> None:
    config = EdgeConfig(Address("192.0.2.1", 0), NO_SERVER)  # an address for documentation, which no machine has
    with pytest.raises(EdgeFailed, match=r"192\.0\.2\.1"):
        async with running_edge(config, tmp_path / "edge"):
            pass


@pytest.mark.parametrize(
    "config",
    [
        EdgeConfig(Address("0.0.0.0", 8003), Address("server", 50051), admin=Address("127.0.0.1", 9901)),  # noqa: S104
        EdgeConfig(Address("::1", 8003), Address("::1", 50051), access_log=True),
        EdgeConfig(
            Address("127.0.0.1", 8003),
            Address("127.0.0.1", 50051),
            metrics=Address("0.0.0.0", 9463),  # noqa: S104
            collector=Address("collector", 4317),
            traced_share=0.1,
        ),
        EdgeConfig(
            Address("127.0.0.1", 8003),
            Address("127.0.0.1", 50051),
            cors_origins=("https://desk.example",),
            trusted_proxies=(ip_network("10.0.0.0/8"), ip_network("2001:db8::/32")),
        ),
    ],
    ids=["container", "IPv6 and access log", "metrics and traces", "behind a proxy"],
)
async def test_envoy_accepts_every_variant_of_the_configuration(tmp_path: Path, config: EdgeConfig) -> None:
    written = write_edge_files(config, tmp_path)
    envoy = await asyncio.create_subprocess_exec(
        envoy_binary(), "--mode", "validate", "--config-path", written, stderr=asyncio.subprocess.PIPE
    )
    _, errors = await asyncio.wait_for(envoy.communicate(), DEADLINE)
    assert envoy.returncode == 0, errors.decode()


async def test_error_contains_the_log_of_envoy_if_it_does_not_start(tmp_path: Path) -> None:
    config = EdgeConfig(Address("127.0.0.1", 0), NO_SERVER, allowed_hosts=("a b", "A b"))
    with pytest.raises(EdgeFailed, match=r"exited with code 1 .*a b"):
        async with running_edge(config, tmp_path / "edge"):
            pass
    assert not (tmp_path / "edge").exists()


async def test_exception_of_the_block_is_raised_unchanged(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="lost"):
        async with running_edge(config_at(), tmp_path / "edge"):
            raise KeyError("lost")
    assert not (tmp_path / "edge").exists()


OWNER = """
import asyncio, sys
from pathlib import Path
from tradingsignals_server.adapters.envoy.process import running_edge
from tradingsignals_server.adapters.envoy.render import Address, EdgeConfig

async def main():
    listen, server = Address("127.0.0.1", int(sys.argv[3])), Address("127.0.0.1", 1)
    async with running_edge(EdgeConfig(listen, server), Path(sys.argv[1])) as edge:
        print(edge.pid, flush=True)
        await asyncio.Event().wait()

if sys.argv[2] == "uvloop":
    import uvloop
    uvloop.run(main())
else:
    asyncio.run(main())
"""


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
async def test_envoy_exits_when_its_owner_is_killed_and_can_start_again(tmp_path: Path, loop: str) -> None:
    folder = tmp_path / "edge"
    (port,) = free_ports(1)
    owner = await asyncio.create_subprocess_exec(
        sys.executable, "-c", OWNER, folder, loop, str(port), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert owner.stdout is not None
        pid = int(await asyncio.wait_for(owner.stdout.readline(), DEADLINE))
    finally:
        owner.kill()
        await ended(owner.pid)
    await ended(pid)
    await owner.wait()
    async with running_edge(config_at(port), folder) as edge:
        assert await is_up(edge.url)
    assert not folder.exists()
