"""`compose.yaml`: hardened, on loopback only, and taken by Debian's composer as by current ones."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tradingsignals_server.bootstrap.exposure import exposure, require_protection
from tradingsignals_server.config.settings import Settings

ROOT = Path(__file__).resolve().parents[3]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES = [pytest.param(service, id=name) for name, service in COMPOSE["services"].items()]


@pytest.mark.parametrize("service", SERVICES)
def test_container_gains_no_privilege_and_writes_to_its_volumes_only(service: dict[str, Any]) -> None:
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "devices"} & set(service)


@pytest.mark.parametrize("service", SERVICES)
def test_ports_are_published_on_this_machine_only(service: dict[str, Any]) -> None:
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))


def test_files_that_are_mounted_are_there() -> None:
    mounted = [
        volume.split(":")[0] for service in COMPOSE["services"].values() for volume in service.get("volumes", ())
    ]
    files = [ROOT / path for path in mounted if path.startswith("./")]
    assert files
    assert all(file.exists() for file in files)


def test_server_starts_beyond_its_container_with_protection_and_without_a_warning(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in COMPOSE["services"]["server"]["environment"].items():
        default = re.fullmatch(r"\$\{\w+(?::-(.*)|:\?.*)\}", value)
        monkeypatch.setenv(name, value if default is None else default[1] or "")
    settings = Settings.from_env()
    assert not settings.allow_insecure
    require_protection(settings, "GRPC_HOST")
    assert exposure(settings) == ()


@pytest.mark.parametrize(("user", "folder"), [("server", "server"), ("edge-files", "edge"), ("edge", "edge")])
def test_key_is_in_the_containers_that_use_it_only(user: str, folder: str) -> None:
    service = COMPOSE["services"][user]
    mounted = [volume for volume in service["volumes"] if volume.startswith("certificates_")]
    assert mounted == [f"certificates_{folder}:/certificates/{folder}:ro"]
    files = [service.get("environment", {}).get(f"GRPC_TLS_{what}") for what in ("CERT", "KEY", "CA")]
    assert user == "edge" or files == [f"/certificates/{folder}/{file}" for file in ("tls.crt", "tls.key", "ca.crt")]
    authority = [name for name, one in COMPOSE["services"].items() if "authority" in str(one.get("volumes"))]
    assert authority == ["certificates"]


def test_forms_that_older_composers_refuse_are_not_used() -> None:
    """Compose 1.29 knows no name of the project, and takes settings from named files only."""
    assert "name" not in COMPOSE
    assert all(
        isinstance(file, str) for service in COMPOSE["services"].values() for file in service.get("env_file", ())
    )


@pytest.mark.skipif(shutil.which("docker-compose") is None, reason="docker-compose is not installed")
def test_composer_of_debian_takes_it(tmp_path: Path) -> None:
    shutil.copy(ROOT / "compose.yaml", tmp_path)
    (tmp_path / ".env").write_text("POSTGRES_PASSWORD=x\n")
    command = [
        "docker-compose",
        "--project-directory",
        str(tmp_path),
        "--file",
        str(tmp_path / "compose.yaml"),
        "config",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
