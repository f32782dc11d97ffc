"""The contracts of the outcome store and the account store on PostgreSQL."""

from __future__ import annotations

import pytest
from tests.support.store_contract.account import AccountContract, AccountStores
from tests.support.store_contract.ledger import LedgerContract, LedgerStores, expected

from tradingsignals_server.adapters.postgres.account import PostgresAccount
from tradingsignals_server.adapters.postgres.connection import Connections
from tradingsignals_server.adapters.postgres.outcomes import PostgresOutcomes
from tradingsignals_server.adapters.postgres.store import PostgresStore
from tradingsignals_server.api.mapping.log_encoding import encode
from tradingsignals_server.api.mapping.log_messages import LOG_DECODERS

__all__ = ["expected"]


@pytest.fixture
def ledger_stores(store: PostgresStore, pool: Connections) -> LedgerStores:
    return LedgerStores(store, PostgresOutcomes(pool, encode, LOG_DECODERS))


class TestLedger(LedgerContract): ...


@pytest.fixture
def account_stores(store: PostgresStore, pool: Connections) -> AccountStores:
    return AccountStores(store, PostgresOutcomes(pool, encode, LOG_DECODERS), PostgresAccount(pool))


class TestAccount(AccountContract): ...
