"""What `tradingsignals doctor` finds in set-ups with one thing wrong each."""

from __future__ import annotations

import json
import shutil
import socket
import ssl
from collections import namedtuple
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from click.testing import CliRunner
from pydantic import SecretStr
from tests.support.certificates import OPENSSL, Authority, Inner
from tests.support.twelvedata import BROKEN, KEY, FakeTwelveData, Response, error

from tradingsignals_server.adapters.feeds.registry import FEEDS
from tradingsignals_server.cli.main import main
from tradingsignals_server.commands.doctor import machine, storage
from tradingsignals_server.commands.doctor.certificates import check_certificates
from tradingsignals_server.commands.doctor.feed import check_feed
from tradingsignals_server.commands.doctor.finding import Finding, Level
from tradingsignals_server.commands.doctor.machine import check_exposure, check_folders, check_ports
from tradingsignals_server.commands.doctor.model import check_models
from tradingsignals_server.config.settings import Settings

SOUND = {
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "max_connections": "100",
    "server_version_num": "180000",
}
"""Settings of a PostgreSQL server with which nothing is wrong."""

Usage = namedtuple("Usage", "total used free")


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setattr("tradingsignals_server.logs.configure", lambda *_: None)  # other tests read the log


def levels(findings: Iterator[Finding]) -> dict[str, Level]:
    return {finding.subject: finding.level for finding in findings}


@pytest.mark.parametrize(
    ("free", "level"), [(100 << 20, Level.PROBLEM), (2 << 30, Level.WARNING), (50 << 30, Level.OK)]
)
def test_free_space_is_judged(monkeypatch: pytest.MonkeyPatch, free: int, level: Level) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(1 << 40, 0, free))
    assert levels(check_folders(Settings()))["disk"] is level


@pytest.mark.parametrize(
    ("text", "mode", "found"),
    [
        ("POSTGRES_PASSWORD=secret\n", 0o644, True),
        ("POSTGRES_PASSWORD=secret\n", 0o600, False),
        ("#POSTGRES_PASSWORD=\nPOSTGRES_PASSWORD=\n", 0o644, False),
        ("SYMBOLS=USDCOP\n", 0o644, False),
    ],
)
def test_readable_file_with_a_secret_is_found(tmp_path: Path, text: str, mode: int, found: bool) -> None:
    (tmp_path / ".env").write_text(text)
    (tmp_path / ".env").chmod(mode)
    assert (".env" in levels(check_folders(Settings()))) is found


def test_ports_that_are_free_are_listed() -> None:
    [finding] = check_ports(
        Settings(signal_service_port=0, grpc_port=0, fanout_port=0, metrics_port=0, edge_metrics_port=0)
    )
    assert finding.level is Level.OK


def test_port_of_another_program_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_HEALTH_TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        [finding] = check_ports(
            Settings(signal_service_port=port, grpc_port=0, fanout_port=0, metrics_port=0, edge_metrics_port=0)
        )
    assert finding.level is Level.PROBLEM
    assert f"port {port} on 127.0.0.1 (SIGNAL_SERVICE_PORT)" in finding.text


class HealthyService(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"model_loaded": true, "status": "healthy", "version": "1"}')

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
        pass


@pytest.mark.skipif(OPENSSL is None, reason="there is no openssl on this machine")
@pytest.mark.parametrize("with_tls", [False, True])
def test_running_service_is_recognised(with_tls: bool, tmp_path: Path) -> None:
    public = Authority.make(tmp_path).certificate("public", "DNS:signals.example.com")
    with ThreadingHTTPServer(("127.0.0.1", 0), HealthyService) as server:
        if with_tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(public.path, public.key)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        serving = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        serving.start()
        settings = Settings(
            signal_service_port=server.server_port,
            grpc_port=0,
            fanout_port=0,
            metrics_port=0,
            edge_metrics_port=0,
            tls_cert=public.path if with_tls else None,
            tls_key=public.key if with_tls else None,
        )
        [finding] = check_ports(settings)
        server.shutdown()
        serving.join()
    assert (finding.level, finding.subject) == (Level.OK, "service"), finding.text


@pytest.mark.parametrize(
    ("settings", "levels_found"),
    [
        (Settings(signal_service_host="127.0.0.1"), [Level.OK]),
        (Settings(signal_service_host="192.0.2.1", allow_insecure=True), [Level.WARNING]),
        (Settings(signal_service_host="192.0.2.1"), [Level.PROBLEM]),
        (Settings(grpc_host="192.0.2.1", auth="on"), [Level.PROBLEM]),
        (Settings(signal_service_host="192.0.2.1", metrics_host="192.0.2.1"), [Level.PROBLEM, Level.WARNING]),
    ],
)
def test_addresses_beyond_this_machine_are_found(settings: Settings, levels_found: list[Level]) -> None:
    assert [each.level for each in check_exposure(settings)] == levels_found


def test_keys_of_tokens_that_the_start_refuses_are_found(tmp_path: Path) -> None:
    jwks = tmp_path / "keys.json"
    settings = Settings(auth="on", jwt_issuer="desk", jwt_audience="signals", jwt_jwks=str(jwks))
    [missing] = check_certificates(settings)
    jwks.write_text("{}")
    [invalid] = check_certificates(settings)
    jwks.write_text('{"keys": [{"kty": "OKP"}]}')
    assert [missing.level, invalid.level, *check_certificates(settings)] == [Level.PROBLEM, Level.PROBLEM]
    assert (missing.text, invalid.text) == (
        f"JWT_JWKS={jwks}: cannot be read: No such file or directory",
        f"JWT_JWKS={jwks}: is not a JWKS, a JSON object with a list of keys",
    )


async def test_file_that_cannot_be_replayed_is_found(tmp_path: Path) -> None:
    file = tmp_path / "bars.csv"
    settings = Settings(feed=FEEDS["replay"], replay_file=file)
    [missing] = await check_feed(settings)
    file.write_text("time,symbol,open,high,low,close,volume\n2024-03-04T13:00:00Z,USDCOP,1,1,1,1,0\n")
    [found] = await check_feed(settings)
    assert (missing.level, missing.text) == (Level.PROBLEM, f"REPLAY_FILE={file}: No such file or directory")
    assert (found.level, found.text) == (Level.OK, "replay has bars")


@pytest.mark.skipif(OPENSSL is None, reason="there is no openssl on this machine")
def test_certificates_are_judged_by_their_end_and_by_whether_they_can_be_used(tmp_path: Path) -> None:
    inner = Inner.make(tmp_path)
    public = inner.authority.certificate("public", "DNS:localhost")
    names = {name.lower(): value for name, value in inner.settings().items()}
    settings = Settings(tls_cert=public.path, tls_key=public.key, **names)  # type: ignore[arg-type]  # paths as texts

    def found(in_days: float) -> dict[str, Level]:
        return levels(check_certificates(settings, datetime.now(UTC) - timedelta(days=in_days)))

    assert found(20) == {"TLS_CERT": Level.OK, "GRPC_TLS_CERT": Level.OK}
    assert found(10) == {"TLS_CERT": Level.WARNING, "GRPC_TLS_CERT": Level.WARNING}
    inner.server.key.write_bytes(inner.edge.key.read_bytes())
    assert found(20) == {"TLS_CERT": Level.OK, "GRPC_TLS_CERT": Level.PROBLEM}
    assert levels(check_certificates(Settings())) == {}


def test_model_that_does_not_load_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_text("no model")
    found = levels(check_models(Settings(model_path=tmp_path / "model.onnx")))
    assert found == {"MODEL_PATH": Level.PROBLEM}


def test_placeholder_is_a_warning() -> None:
    assert levels(check_models(Settings(model_path=Path("placeholder")))) == {"MODEL_PATH": Level.WARNING}


@pytest.mark.parametrize(
    ("changed", "subject", "level"),
    [
        ({}, "durability", Level.OK),
        ({"fsync": "off"}, "durability", Level.PROBLEM),
        ({"full_page_writes": "off"}, "durability", Level.PROBLEM),
        ({"server_version_num": "130012"}, "postgres", Level.WARNING),
    ],
)
def test_settings_of_the_database_are_judged(changed: dict[str, str], subject: str, level: Level) -> None:
    findings = storage._findings_of(SOUND | changed, standby=False, difference=0.0, room=50)
    assert levels(findings)[subject] is level


def test_standby_is_a_problem() -> None:
    assert levels(storage._findings_of(SOUND, standby=True, difference=0.0, room=50))["postgres"] is Level.PROBLEM


@pytest.mark.parametrize("difference", [-2.5, 2.5])
def test_clocks_that_differ_are_a_warning(difference: float) -> None:
    assert levels(storage._findings_of(SOUND, standby=False, difference=difference, room=50))["clock"] is Level.WARNING


def test_too_few_free_connections_are_a_warning() -> None:
    found = levels(storage._findings_of(SOUND, standby=False, difference=0.0, room=12))
    assert found["connections"] is Level.WARNING


@pytest.mark.parametrize(
    ("response", "found"),
    [
        (None, Finding(Level.OK, "feed", "twelvedata has bars")),
        (BROKEN, "Twelve Data cannot be reached"),
        (error(401, f"{KEY} is wrong", 401), "Twelve Data refuses TWELVEDATA_API_KEY (401): *** is wrong"),
        (error(404, "no such symbol"), "USDCOP: Twelve Data refuses requests for USD/COP (404): no such symbol"),
    ],
)
async def test_source_of_the_feed_is_tried(response: Response | None, found: Finding | str) -> None:
    fake = FakeTwelveData(lambda: datetime.now(UTC))
    fake.scripted.extend(filter(None, [response]))
    async with fake.listening() as url:
        settings = Settings(feed=FEEDS["twelvedata"], twelvedata_api_key=SecretStr(KEY), twelvedata_url=url)
        [finding] = await check_feed(settings)
    if isinstance(found, Finding):
        assert finding == found
    else:
        assert (finding.level, finding.subject) == (Level.PROBLEM, "feed")
        assert found in finding.text
        assert KEY not in f"{finding}"


async def test_feed_without_a_source_outside_is_not_tried() -> None:
    assert await check_feed(Settings()) == []


def run(*words: str, **environment: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, words, env=environment)
    return done.exit_code, done.output


def test_wrong_setting_is_reported_as_a_problem() -> None:
    code, output = run("doctor", CONFIDENCE_THRESHOLD="2")
    assert code == 1
    assert output.startswith("PROBLEM  settings")
    assert "CONFIDENCE_THRESHOLD" in output


def test_findings_are_printed_as_json_and_nothing_is_created(tmp_path: Path) -> None:
    code, output = run(
        "doctor",
        "--json",
        SIGNAL_SERVICE_PORT="0",
        GRPC_PORT="0",
        FANOUT_PORT="0",
        METRICS_PORT="0",
        MODEL_PATH="placeholder",
    )
    found = {each["subject"]: each["level"] for each in json.loads(output)}
    assert found["settings"] == found["database"] == "ok"
    assert found["MODEL_PATH"] == "warning"
    assert code == (1 if "problem" in found.values() else 0)
    assert list(tmp_path.iterdir()) == []
