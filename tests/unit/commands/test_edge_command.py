"""`tradingsignals edge` writes what `up` would run with the same settings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.support.certificates import OPENSSL, Inner

from tradingsignals_server.adapters.envoy.render import Address, render
from tradingsignals_server.bootstrap.edge import edge_config
from tradingsignals_server.cli.main import main
from tradingsignals_server.config.settings import Settings

SETTINGS = {
    "ALLOWED_HOSTS": "signals.example.com",
    "CORS_ORIGINS": "https://desk.example",
    "TRUSTED_PROXIES": "10.0.0.0/8",
    "TLS_CERT": "/certificates/tls.crt",
    "TLS_KEY": "/certificates/tls.key",
    "TLS_CLIENT_CA": "/certificates/ca.crt",
    "TLS_CLIENT_REQUIRED": "false",
    "AUTH": "on",
    "JWT_ISSUER": "https://login.example",
    "JWT_AUDIENCE": "signals",
    "JWT_JWKS": "https://login.example/keys",
    "JWT_MAX_SECONDS": "60",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4317",
    "EDGE_SECRET": "of both",
    "GRPC_TLS_CERT": "/certificates/edge.crt",
    "GRPC_TLS_KEY": "/certificates/edge.key",
    "GRPC_TLS_CA": "/authorities/ca.crt",
    "GRPC_TLS_NAME": "servers.example",
}


def written(folder: Path, *options: str) -> str:
    """Return the configuration that the command writes."""
    result = CliRunner().invoke(main, ["edge", "--out", str(folder), "--backend", "server:50051", *options])
    assert result.exit_code == 0, result.output
    return (folder / "envoy.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["none", "all", *SETTINGS])
def test_configuration_is_that_of_up_for_the_same_settings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    pairs = (
        ("TLS_CERT", "TLS_KEY", "TLS_CLIENT_CA"),
        ("AUTH", "JWT_ISSUER", "JWT_AUDIENCE", "JWT_JWKS"),
        ("GRPC_TLS_CERT", "GRPC_TLS_KEY", "GRPC_TLS_CA"),
    )
    needed = next((pair for pair in pairs if name[:3] in {each[:3] for each in pair}), ())
    for each in SETTINGS if name == "all" else () if name == "none" else {name, *needed}:
        monkeypatch.setenv(each, SETTINGS[each])
    config = replace(
        edge_config(Settings.from_env(), [Address("server", 50051)], []),
        listen=Address("0.0.0.0", 8003),  # noqa: S104 - compared with, not bound
        metrics=None,
        admin=Address("127.0.0.1", 9901),
    )
    assert written(tmp_path / "edge") == render(config, (tmp_path / "edge").resolve())
    assert (tmp_path / "edge/tls.yaml").exists() == (name == "all" or name.startswith("TLS"))
    assert (tmp_path / "edge/clients.yaml").exists() == (name == "all" or name.startswith("TLS"))
    assert (tmp_path / "edge/edge.yaml").exists() == (name == "all" or name.startswith("GRPC_TLS"))
    assert (tmp_path / "edge/servers.yaml").exists() == (name == "all" or name.startswith("GRPC_TLS"))


def test_every_setting_changes_the_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)

    def files(folder: Path) -> str:
        text = written(folder)
        secrets = ((folder / name) for name in ("tls.yaml", "clients.yaml", "edge.yaml", "servers.yaml"))
        return "".join([text, *(path.read_text(encoding="utf-8") for path in secrets if path.exists())])

    whole = files(tmp_path / "edge")
    together = {"JWT_ISSUER", "JWT_AUDIENCE", "JWT_JWKS", "GRPC_TLS_CERT", "GRPC_TLS_KEY", "GRPC_TLS_CA"}
    for name in set(SETTINGS) - {"TLS_CERT", "TLS_KEY"} - together:
        with monkeypatch.context() as without:
            without.delenv(name)
            assert files(tmp_path / "edge") != whole, name


def test_option_is_used_instead_of_the_setting_and_a_wrong_setting_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ALLOWED_HOSTS", "signals.example.com")
    assert "signals.example.com" in written(tmp_path / "edge")
    text = written(tmp_path / "edge", "--allowed-hosts", "other.example")
    assert "other.example" in text
    assert "signals.example.com" not in text
    monkeypatch.setenv("TRUSTED_PROXIES", "nowhere")
    result = CliRunner().invoke(main, ["edge", "--out", str(tmp_path / "edge")])
    assert result.exit_code != 0
    assert "TRUSTED_PROXIES" in result.output


@pytest.mark.skipif(OPENSSL is None, reason="there is no openssl on this machine")
def test_certificate_that_servers_would_refuse_is_refused_if_it_is_here(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    inner = Inner.make(tmp_path)
    for name, value in inner.settings(inner.edge).items():
        monkeypatch.setenv(name, value)
    written(tmp_path / "taken")
    for name, value in inner.settings(inner.stranger).items():
        monkeypatch.setenv(name, value)
    result = CliRunner().invoke(main, ["edge", "--out", "refused"])
    assert result.exit_code == 1
    assert result.stderr.startswith(f"tradingsignals: GRPC_TLS_CERT={inner.stranger.path}: is refused by servers")
    assert not (tmp_path / "refused").exists()
