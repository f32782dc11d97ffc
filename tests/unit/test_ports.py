"""The ports of the tests, which run in several processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.support import ports

ROOT = Path(__file__).parents[2]
TAKEN_HERE = "import sys; from tests.support import ports; print([ports._reserve(int(each)) for each in sys.argv[1:]])"


def test_port_is_given_to_one_process_only() -> None:
    command = [sys.executable, "-c", TAKEN_HERE, *map(str, ports.free_ports(3))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[False, False, False]"


def test_port_is_given_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "_PORTS", range(24_000, 24_300))
    pairs = [ports.free_row(2) for _ in range(20)]
    found = [*ports.free_ports(60), *pairs, *(port + 1 for port in pairs), *ports.free_ports(60)]
    assert len(set(found)) == len(found)
