"""The ports of the tests, which run in several processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support.ports import free_pair, free_ports

ROOT = Path(__file__).parents[2]
TAKEN_HERE = "import sys; from tests.support import ports; print([ports._reserve(int(each)) for each in sys.argv[1:]])"


def test_port_is_given_to_one_process_only() -> None:
    ports = free_ports(3)
    command = [sys.executable, "-c", TAKEN_HERE, *map(str, ports)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[False, False, False]"


def test_port_is_given_once() -> None:
    pairs = [free_pair() for _ in range(10)]
    ports = [*free_ports(100), *pairs, *(port + 1 for port in pairs)]
    assert len(set(ports)) == len(ports)
