"""The contract of the account store on the memory store."""

from __future__ import annotations

import pytest
from tests.support.memory_account import MemoryAccount
from tests.support.memory_outcomes import MemoryOutcomes
from tests.support.memory_store import MemoryStore
from tests.support.store_contract.account import AccountContract, AccountStores


@pytest.fixture
def account_stores() -> AccountStores:
    store = MemoryStore()
    outcomes = MemoryOutcomes(store)
    return AccountStores(store, outcomes, MemoryAccount(outcomes))


class TestAccount(AccountContract): ...
