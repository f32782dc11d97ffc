"""`compose.yaml`: hardened, on loopback only, and taken by Debian's composer as by current ones."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

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
