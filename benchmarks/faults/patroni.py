"""Three instances of PostgreSQL under Patroni and etcd on loopback, with synchronous replication."""

from __future__ import annotations

import asyncio
import json
import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import httpx
from tests.support.processes import running, with_command

from ..processes import free_port

INSTANCES = 3
READY_S = 90.0
PROGRAMS = ("patroni", "etcd")
_PASSWORDS = {"superuser": "super", "replication": "replicate"}  # of a cluster that lives for minutes, on loopback


def binaries() -> Path | None:
    """Return the folder of the programs of Debian's newest PostgreSQL; None if it is not installed."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: int(folder.parent.name))
    return folders[-1] if folders else None


def missing() -> str | None:
    """Say what is not installed; None if all is there."""
    absent = [name for name in PROGRAMS if shutil.which(name) is None]
    absent += [] if binaries() else ["postgresql"]
    return f"{', '.join(absent)}: not installed (Debian: patroni, etcd-server, postgresql)" if absent else None


class PatroniCluster:
    """The running cluster. `settings` name it to the service, which finds the primary by itself."""

    def __init__(self, ports: Sequence[int], apis: Sequence[int]) -> None:
        hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
        self._ports, self._apis = ports, apis
        self._patronis: list[subprocess.Popen[bytes]] = []
        self.dsn = f"postgresql://postgres:{_PASSWORDS['superuser']}@{hosts}/postgres?target_session_attrs=read-write"
        self.settings = {"DATABASE_URL": self.dsn}

    async def begin(self, folder: Path, etcd: int) -> None:
        """Start the instances one after the other, and wait until two of them follow the first."""
        for number, (port, api) in enumerate(zip(self._ports, self._apis, strict=True), 1):
            home = folder / f"instance-{number}"
            home.mkdir()
            _give_away(home)
            (home / "patroni.json").write_text(json.dumps(_configuration(number, home, port, api, etcd)))
            with (folder / f"instance-{number}.log").open("wb") as log:
                self._patronis.append(_started(["patroni", str(home / "patroni.json")], home, log.fileno()))
            await self._until_ready(number)

    async def kill_primary(self) -> None:
        """Kill the primary with its Patroni, as if its machine had lost its power."""
        [primary] = [member for member in await self._members() if member["role"] == "leader"]
        number = int(primary["name"].rpartition("-")[2])
        self._patronis[number - 1].kill()
        _kill_instance(number)

    def end(self) -> None:
        """Kill all instances."""
        for number, patroni in enumerate(self._patronis, 1):
            patroni.kill()
            patroni.wait()
            _kill_instance(number)

    async def _members(self) -> list[dict[str, str]]:
        async with httpx.AsyncClient(timeout=5.0) as rest:
            for api in self._apis:
                with suppress(httpx.HTTPError, ValueError, KeyError):
                    return list((await rest.get(f"http://127.0.0.1:{api}/cluster")).json()["members"])
        return []

    async def _until_ready(self, instances: int) -> None:
        """Wait until that number of instances runs, of which one follows synchronously if there are several."""
        async with asyncio.timeout(READY_S):
            while not _is_ready(await self._members(), instances):  # noqa: ASYNC110 - Patroni gives no sign
                await asyncio.sleep(0.2)


def _is_ready(members: Sequence[Mapping[str, str]], instances: int) -> bool:
    roles = {member["role"] for member in members}
    running = [member for member in members if member["state"] in {"running", "streaming"}]
    return len(running) == instances and "leader" in roles and (instances == 1 or "sync_standby" in roles)


@asynccontextmanager
async def patroni_cluster(folder: Path) -> AsyncIterator[PatroniCluster]:
    """Run etcd and the instances in `folder`, which every user must be able to enter."""
    async with AsyncExitStack() as stack:
        etcd, peer = free_port(), free_port()
        home = folder / "etcd"
        home.mkdir()
        _give_away(home)
        urls = f"http://127.0.0.1:{etcd}", f"http://127.0.0.1:{peer}"
        options = [
            "--data-dir",
            str(home / "data"),
            "--listen-client-urls",
            urls[0],
            "--advertise-client-urls",
            urls[0],
        ]
        options += ["--listen-peer-urls", urls[1], "--initial-advertise-peer-urls", urls[1]]
        options += ["--initial-cluster", f"default={urls[1]}", "--enable-v2"]
        with (folder / "etcd.log").open("wb") as log:
            process = _started(["etcd", *options], home, log.fileno())
        stack.callback(process.wait)
        stack.callback(process.kill)
        cluster = PatroniCluster([free_port() for _ in range(INSTANCES)], [free_port() for _ in range(INSTANCES)])
        stack.callback(cluster.end)
        await cluster.begin(folder, etcd)
        yield cluster


def _configuration(number: int, home: Path, port: int, api: int, etcd: int) -> dict[str, object]:
    """Return the configuration of an instance. A primary that cannot renew its lease gives up within 10 seconds."""
    return {
        "scope": "faults",
        "name": f"instance-{number}",
        "restapi": {"listen": f"127.0.0.1:{api}", "connect_address": f"127.0.0.1:{api}"},
        "etcd3": {"host": f"127.0.0.1:{etcd}"},
        "bootstrap": {
            "dcs": {
                "ttl": 10,
                "loop_wait": 2,
                "retry_timeout": 3,
                "maximum_lag_on_failover": 1 << 20,
                "synchronous_mode": True,
                "synchronous_mode_strict": True,
                "postgresql": {"use_pg_rewind": True, "parameters": {"max_connections": 100}},
            },
            "initdb": ["data-checksums", {"encoding": "UTF8"}, {"locale": "C"}],
        },
        "postgresql": {
            "listen": f"127.0.0.1:{port}",
            "connect_address": f"127.0.0.1:{port}",
            "data_dir": str(home / "data"),
            "bin_dir": str(binaries()),
            "pgpass": str(home / "pgpass"),
            "authentication": {
                name: {"username": "postgres" if name == "superuser" else name, "password": password}
                for name, password in _PASSWORDS.items()
            },
            "parameters": {"unix_socket_directories": str(home), "shared_buffers": "32MB"},
            "pg_hba": ["host all all 127.0.0.1/32 scram-sha-256", "host replication all 127.0.0.1/32 scram-sha-256"],
        },
    }


def _started(command: Sequence[str], home: Path, output: int) -> subprocess.Popen[bytes]:
    """Start a program in `home`; as the user of PostgreSQL if this process is root, which PostgreSQL refuses."""
    user = "postgres" if os.geteuid() == 0 else None
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "LC_ALL": "C", "ETCD_UNSUPPORTED_ARCH": "arm64"}
    return subprocess.Popen(
        command, cwd=home, stdout=output, stderr=output, env=environment, user=user, group=user, start_new_session=True
    )


def _kill_instance(number: int) -> None:
    for process in with_command(running(), f"instance-{number}/data"):
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)


def _give_away(folder: Path) -> None:
    if os.geteuid() == 0:
        owner = pwd.getpwnam("postgres")
        os.chown(folder, owner.pw_uid, owner.pw_gid)
