"""A cluster that cannot be created: what the operator reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from tradingsignals_server.adapters.postgres.embedded.cluster import Cluster, create_if_missing
from tradingsignals_server.adapters.postgres.embedded.programs import EmbeddedPostgresError

NO_SPACE = """creating configuration files ... ok
running bootstrap script ... 2026-11-30 00:02:41 UTC [42] FATAL:  could not write "base/1": No space left on device
2026-11-30 00:02:41 UTC [42] STATEMENT:  REVOKE ALL ON pg_largeobject FROM PUBLIC;
\t
child process exited with exit code 1
initdb: removing contents of data directory "/proc/self/cwd"
"""
ROOT = """initdb: error: cannot be run as root
initdb: hint: Please log in (using, e.g., "su") as the (unprivileged) user that will own the server process.
"""
ODD = "it has\nits own\nway to\nfail\n"


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        (NO_SPACE, 'could not write "base/1": No space left on device'),
        (ROOT, "cannot be run as root"),
        (ODD, "its own; way to; fail"),
    ],
)
async def test_a_failed_initdb_has_its_reason(tmp_path: Path, output: str, reason: str) -> None:
    initdb = tmp_path / "initdb"
    (tmp_path / "output").write_text(output)
    initdb.write_text(f"#!/bin/sh\ncat '{tmp_path}/output'\nexit 1\n")
    initdb.chmod(0o755)
    folder = tmp_path / "postgres"
    with pytest.raises(EmbeddedPostgresError) as failed:
        await create_if_missing(Cluster(folder, folder, None, tmp_path))
    assert str(failed.value) == f"initdb failed: {reason}"
    assert not folder.exists()
