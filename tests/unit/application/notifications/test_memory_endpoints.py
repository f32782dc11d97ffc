"""The store in memory fulfils the contract of all stores."""

from __future__ import annotations

import pytest
from tests.support.memory_endpoints import MemoryEndpoints
from tests.support.store_contract.endpoints import EndpointsContract


@pytest.fixture
def endpoints() -> MemoryEndpoints:
    return MemoryEndpoints()


class TestEndpoints(EndpointsContract): ...
