"""The contract of the outcome store, on the one in memory that other unit tests use."""

from __future__ import annotations

import pytest
from tests.support.memory_outcomes import MemoryOutcomes
from tests.support.memory_store import MemoryStore
from tests.support.store_contract.ledger import LedgerContract, LedgerStores, expected

__all__ = ["expected"]


@pytest.fixture
def ledger_stores() -> LedgerStores:
    store = MemoryStore()
    return LedgerStores(store, MemoryOutcomes(store))


class TestLedger(LedgerContract): ...
