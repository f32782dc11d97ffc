"""`deploy/certificates.sh`: what it makes is taken by servers and edge, and renewed in time."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from tests.support.certificates import OPENSSL, Authority

from tradingsignals_server.transport.certificates import TlsFiles, load

SCRIPT = Path(__file__).resolve().parents[3] / "deploy" / "certificates.sh"

pytestmark = pytest.mark.skipif(OPENSSL is None, reason="there is no openssl on this machine")


def run(folder: Path) -> dict[str, bytes]:
    """Run it, and return the contents of the files that are there then."""
    subprocess.run(["/bin/sh", SCRIPT, folder], check=True, capture_output=True, timeout=60)
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def files(folder: Path) -> TlsFiles:
    return TlsFiles(folder / "tls.crt", folder / "tls.key", folder / "ca.crt", "tradingsignals-server")


def test_servers_and_edge_take_what_is_made_and_a_second_run_changes_nothing(tmp_path: Path) -> None:
    made = run(tmp_path)
    identity = load(files(tmp_path / "server"))
    assert load(files(tmp_path / "edge"), is_server=False).authorities == identity.authorities
    assert set(made) == {"authority/ca.crt", "authority/ca.key"} | {
        f"{of}/{file}" for of in ("server", "edge") for file in ("tls.crt", "tls.key", "ca.crt")
    }
    assert all(not file.stat().st_mode & 0o007 for file in tmp_path.rglob("*.key")), "other users read no key"
    assert run(tmp_path) == made


def test_certificate_that_expires_soon_is_renewed_by_the_same_authority(tmp_path: Path) -> None:
    made = run(tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    soon = Authority.make(other).certificate("soon", "DNS:edge", days=29)
    (tmp_path / "edge/tls.crt").write_bytes(soon.path.read_bytes())
    renewed = run(tmp_path)
    load(files(tmp_path / "edge"), is_server=False)
    changed = {name for name in made if renewed[name] != made[name]}
    assert changed == {"edge/tls.crt", "edge/tls.key"}
